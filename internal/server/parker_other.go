//go:build !linux

package server

import "errors"

// parker is for Linux; see there. Elsewhere no connection is parked.
type parker struct{}

func newParker() (*parker, error) { return nil, errors.ErrUnsupported }

func (p *parker) close() {}

func (p *parker) park(*conn) bool { return false }

func (p *parker) forget(int, *conn) {}
