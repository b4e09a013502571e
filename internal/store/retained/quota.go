package retained

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// Fits says whether the limits allow m to be retained; else the error is a store.ErrQuota. What is on its way to the view, from any node, is not counted yet,
// so they may be exceeded by what publishers have under way at one moment.
func (v *View) Fits(m *store.Message) error {
	if len(m.Payload) == 0 {
		return nil
	}
	done, err := v.keeper.Use()
	if err != nil {
		return err
	}
	defer done()
	q := view.Quota{Topics: v.opts.MaxTopics, Bytes: v.opts.MaxBytes}
	size := int64(len(m.Payload) + len(m.Topic) + len(m.Forward))
	return q.Fits(v.db, view.TopicKey(keyRetained, m.Topic), countKey(topic.First(m.Topic)), size, v.stats.Bytes.Load())
}
