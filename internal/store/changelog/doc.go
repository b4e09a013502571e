// Package changelog keeps the sessions of several processes, its nodes, in a log that all of them read: who owns a client id, and what its
// session is. The log is the only thing that nodes share. It decides by the order of its records, by no clock and no lease.
//
// # Records
//
// The log has queues, and a client id stands in one of them (queue = hash of the client id). A record names the offset of
// the last valid record about its name which its writer had read: its base. It is valid only if that is still the last one, so of two
// writers who build on the same record the first one counts, and a record that was sent twice counts once. All nodes read the
// same records in the same order and come to the same verdicts (valid.go); nothing else decides. What is valid is applied to a
// view in Pebble, which can be built again from the log at any time.
//
// Logs go back, and give the offsets of what is gone to others: so a base is an offset and the time at which the record there was stored. What a node has appended
// and not read back when a later beat of its own comes back is appended again as it was. A node that begins in the middle of the log, since what was older
// has been dropped, waits for each name's next state (old.go).
//
// # The way of a change
//
// Change -> chain of its client (one record under way, the next one collects) -> Log.Append -> Read, when the record comes back -> verdict ->
// its completion. So a node acts only on what it has read back: one that was stopped for a while cannot act on what it believed before.
//
// # Ownership
//
// A node that is told to serve a client appends connect. When another node owned it, that one reads connect, ends its
// connection and appends final: where the session stands. The new owner goes on when it reads final; or, after
// Options.Handover, appends take: then what the former owner knew and had not written yet is lost, and costs duplicates of QoS 1.
// What a former owner writes after connect is void, except final.
//
// # Nodes
//
// A node has a random id per start and queue, and appends a beat a second to every queue, which also carries how far all its sessions that
// keep up are (store.Checkpoint). One whose beats are missing while one's own come back is fenced: its sessions have no owner
// and their expiry begins. It finds that out when it reads on, and goes on under a new id, without its clients.
//
// The package starts no goroutine and waits for nothing: Read and Tick drive it, so that a simulation can.
package changelog
