//go:build !linux

package server

import (
	"errors"
	"net"
	"syscall"
)

// Elsewhere connections wait in the net package, with a buffer and a goroutine of the usual size each.

func rawConn(net.Conn) syscall.RawConn { return nil }

func readFD(int, []byte) (int, error) { return 0, errors.ErrUnsupported }

func writeFD(int, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
