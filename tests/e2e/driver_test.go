package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

func pahoPython() library {
	return library{
		name:     "paho-python",
		versions: []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5},
		needs:    []tools.Tool{tools.Python(), tools.Paho()},
		open: func(t *testing.T, b *broker.Broker) func() client {
			cmd := exec.CommandContext(t.Context(), tools.Python().Path(t), "-u", "paho_driver.py")
			cmd.Env = append(os.Environ(), "PYTHONPATH="+tools.Paho().Path(t), "PYTHONDONTWRITEBYTECODE=1")
			return startDriver(t, b, cmd).client
		},
	}
}

func mqttjs() library {
	return library{
		name:       "mqttjs-websocket",
		versions:   []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5},
		needs:      []tools.Tool{tools.Node(), tools.MQTTJS()},
		groupsUser: true,
		open: func(t *testing.T, b *broker.Broker) func() client {
			cmd := exec.CommandContext(t.Context(), tools.Node().Path(t), "mqttjs_driver.js")
			cmd.Env = append(os.Environ(), "NODE_PATH="+tools.MQTTJS().Path(t)+"/node_modules")
			return startDriver(t, b, cmd).client
		},
	}
}

// driver is a process that runs clients of a library of another language. Commands and answers are lines of JSON.
type driver struct {
	broker *broker.Broker
	in     io.Writer

	mu      sync.Mutex // guards all below, and orders lines on in
	nextID  int
	waiting map[int]chan<- answer
	clients map[string]*remote
	ended   error // set when the process has ended
}

// command is what goes to the process; each operation reads its own fields.
type command struct {
	ID       int    `json:"id"`
	Op       string `json:"op"`
	Client   string `json:"c"`
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port,omitempty"`
	URL      string `json:"url,omitempty"`
	Version  int    `json:"version,omitempty"`
	ClientID string `json:"clientId"`
	Clean    bool   `json:"clean"`
	Expiry   uint32 `json:"expiry"`
	Retry    bool   `json:"reconnect"`
	Filter   string `json:"filter,omitempty"`
	Topic    string `json:"topic,omitempty"`
	Payload  []byte `json:"payload"`
	QoS      byte   `json:"qos"`
	Retain   bool   `json:"retain"`
	Props    *props `json:"props,omitempty"`

	Will      *message `json:"will,omitempty"`
	WillDelay uint32   `json:"willDelay"`
}

// answer is what comes from it: a reply to the command Re, or an event of a client.
type answer struct {
	message

	Re       int    `json:"re"`
	Error    string `json:"error"`
	Codes    []byte `json:"-"`
	RawCodes []int  `json:"codes"`
	Present  bool   `json:"present"`
	Assigned string `json:"assigned"`
	Event    string `json:"event"`
	Client   string `json:"c"`
	Code     byte   `json:"code"`
}

func startDriver(t *testing.T, b *broker.Broker, cmd *exec.Cmd) *driver {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &driver{broker: b, in: in, waiting: map[int]chan<- answer{}, clients: map[string]*remote{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.end(d.read(out))
	}()
	t.Cleanup(func() {
		_ = in.Close() // tells it to end; the context of the test kills it otherwise
		<-done
		_ = cmd.Wait()
	})
	return d
}

// read hands out what the process says until it ends.
func (d *driver) read(out io.Reader) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return errors.New("the driver has ended")
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return fmt.Errorf("line %q of the driver: %w", line, err)
		}
		for _, c := range a.RawCodes {
			a.Codes = append(a.Codes, byte(c))
		}
		d.dispatch(a)
	}
}

func (d *driver) dispatch(a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.Event == "" {
		if w := d.waiting[a.Re]; w != nil {
			delete(d.waiting, a.Re)
			w <- a
		}
		return
	}
	in := d.clients[a.Client].in
	switch a.Event {
	case "message":
		in.messages.put(a.message)
	case "up":
		in.ups.put(connected{present: a.Present})
	case "down":
		in.downs.put(a.Code)
	}
}

func (d *driver) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = err
	for _, w := range d.waiting {
		w <- answer{Error: err.Error()}
	}
	clear(d.waiting)
}

// do sends a command and waits for its reply.
func (d *driver) do(c command) (answer, error) {
	reply := make(chan answer, 1)
	if err := d.send(c, reply); err != nil {
		return answer{}, err
	}
	select {
	case a := <-reply:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		if len(a.Codes) != 1 {
			return a, fmt.Errorf("%s was answered with codes %v, want one", c.Op, a.Codes)
		}
		return a, nil
	case <-time.After(patience):
		return answer{}, fmt.Errorf("no answer to %s within %s", c.Op, patience)
	}
}

func (d *driver) send(c command, reply chan<- answer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended != nil {
		return d.ended
	}
	d.nextID++
	c.ID = d.nextID
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	d.waiting[c.ID] = reply
	_, err = d.in.Write(append(line, '\n'))
	return err
}

// remote is a client in a driver's process.
type remote struct {
	d    *driver
	name string
	in   *inbox
}

func (d *driver) client() client {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &remote{d: d, name: "c" + strconv.Itoa(len(d.clients)), in: newInbox()}
	d.clients[r.name] = r
	return r
}

func (r *remote) connect(o connectOptions) (connected, error) {
	host, port, err := net.SplitHostPort(r.d.broker.TCP)
	if err != nil {
		return connected{}, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return connected{}, err
	}
	a, err := r.d.do(command{
		Op: "connect", Client: r.name, Host: host, Port: n, URL: r.d.broker.WSURL(), Version: int(o.version),
		ClientID: o.id, Clean: !o.keep, Expiry: o.expiry(), Retry: o.reconnect, Will: o.will, WillDelay: o.willDelay,
	})
	if err == nil && a.Codes[0] != 0 {
		err = refused(a.Codes[0])
	}
	return connected{present: a.Present, assigned: a.Assigned}, err
}

func (r *remote) subscribe(filter string, qos byte) (byte, error) {
	return r.code(command{Op: "subscribe", Client: r.name, Filter: filter, QoS: qos})
}

func (r *remote) publish(m message) (byte, error) {
	return r.code(command{Op: "publish", Client: r.name, Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Props: &m.Props})
}

func (r *remote) disconnect() error {
	_, err := r.code(command{Op: "disconnect", Client: r.name})
	return err
}

func (r *remote) drop() error {
	_, err := r.code(command{Op: "drop", Client: r.name})
	return err
}

func (r *remote) code(c command) (byte, error) {
	a, err := r.d.do(c)
	if err != nil {
		return 0, err
	}
	return a.Codes[0], nil
}

func (r *remote) inbox() *inbox { return r.in }
