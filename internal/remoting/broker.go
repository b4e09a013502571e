package remoting

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"
)

// BrokerConfig is the broker's configuration, and that of its store. With access control it needs rights of an administrator.
func (c *Client) BrokerConfig(ctx context.Context, addr string) (map[string]string, error) {
	r, err := c.ask(ctx, addr, &command{code: codeBrokerConfig})
	if err != nil {
		return nil, fmt.Errorf("broker config: %w", err)
	}
	conf, err := decodeProperties(r.body)
	if err != nil {
		return nil, fmt.Errorf("broker config of %s: %w", addr, err)
	}
	return conf, nil
}

// decodeProperties reads what MixAll.properties2String writes: a line per property, and no escapes.
func decodeProperties(text []byte) (map[string]string, error) {
	out := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, max(len(text)+1, bufio.MaxScanTokenSize))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			out[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return out, lines.Err()
}

// BrokerRuntime is what the broker says of its state: brokerVersionDesc, bootTimestamp and much more.
func (c *Client) BrokerRuntime(ctx context.Context, addr string) (map[string]string, error) {
	r, err := c.ask(ctx, addr, &command{code: codeBrokerRuntime})
	if err != nil {
		return nil, fmt.Errorf("broker runtime info: %w", err)
	}
	table, err := decodeTable(r.body)
	if err != nil {
		return nil, fmt.Errorf("broker runtime info of %s: %w", addr, err)
	}
	return table, nil
}
