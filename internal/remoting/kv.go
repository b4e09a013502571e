package remoting

import (
	"context"
	"errors"
	"fmt"
)

// KV reads a key of the name servers (class KVConfigManager): ErrNotFound, when it is not there.
func (c *Client) KV(ctx context.Context, namespace, key string) (string, error) {
	r, err := c.askNamesrv(ctx, func(cmd *command) {
		cmd.code = codeGetKV
		cmd.str("namespace", namespace)
		cmd.str("key", key)
	})
	if err != nil {
		return "", wrapKV("get", namespace, key, asNotFound(err, ErrNotFound))
	}
	return string(r.ext.get("value")), nil
}

// PutKV writes a key to every name server. They do not tell each other: after an error some may have it.
func (c *Client) PutKV(ctx context.Context, namespace, key, value string) error {
	return wrapKV("put", namespace, key, c.askAllNamesrv(ctx, func(cmd *command) {
		cmd.code = codePutKV
		cmd.str("namespace", namespace)
		cmd.str("key", key)
		cmd.str("value", value)
	}))
}

// DeleteKV deletes a key from every name server. To delete what is not there is no error.
func (c *Client) DeleteKV(ctx context.Context, namespace, key string) error {
	return wrapKV("delete", namespace, key, c.askAllNamesrv(ctx, func(cmd *command) {
		cmd.code = codeDeleteKV
		cmd.str("namespace", namespace)
		cmd.str("key", key)
	}))
}

// ListKV is all keys of a namespace: ErrNotFound, when there is no such namespace.
func (c *Client) ListKV(ctx context.Context, namespace string) (map[string]string, error) {
	r, err := c.askNamesrv(ctx, func(cmd *command) {
		cmd.code = codeListKV
		cmd.str("namespace", namespace)
	})
	if err != nil {
		return nil, wrapKV("list", namespace, "*", asNotFound(err, ErrNotFound))
	}
	table, err := decodeTable(r.body)
	return table, wrapKV("list", namespace, "*", err)
}

// decodeTable decodes class KVTable.
func decodeTable(body []byte) (map[string]string, error) {
	var j struct {
		Table map[string]string `json:"table"`
	}
	err := unmarshal(body, &j)
	return j.Table, err
}

// asNotFound adds what code 22 means to err.
func asNotFound(err, meaning error) error {
	var r *ResponseError
	if errors.As(err, &r) && r.Code == CodeQueryNotFound {
		return fmt.Errorf("%w: %w", meaning, err)
	}
	return err
}

func wrapKV(what, namespace, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s key %q of namespace %q: %w", what, key, namespace, err)
}
