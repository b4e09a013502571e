package server

import "fmt"

// reserved descriptors are left to the rest of the process. Without one for its next file the store fails and the broker with it, so
// connections must never take the last: Pebble has up to 200 tables open, the log some files, and each listener one.
const reserved = 300

// fit lowers Options.MaxConn to what the limit of open files leaves.
func (s *Server) fit(openFiles uint64) error {
	o := &s.opts
	if openFiles >= uint64(o.MaxConn+o.Courtesy+reserved) {
		return nil
	}
	room := int(openFiles) - o.Courtesy - reserved
	if room < 1 {
		return fmt.Errorf("server: %d files may be open, and at least %d are needed: raise the limit (ulimit -n, LimitNOFILE of systemd)",
			openFiles, o.Courtesy+reserved+1)
	}
	s.log.Info("the limit of open files allows fewer connections than maxConn; to have more raise it (ulimit -n, LimitNOFILE of systemd)",
		"openFiles", openFiles, "connections", room, "maxConn", o.MaxConn)
	o.MaxConn = room
	return nil
}
