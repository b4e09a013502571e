package retained

import (
	"fmt"

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
	old, err := view.Get(v.db, view.TopicKey(keyRetained, m.Topic))
	if err != nil {
		return err
	}
	size := int64(len(m.Payload) + len(m.Topic) + len(m.Forward) - len(old))
	if have, limit := v.stats.Bytes.Load(), v.opts.MaxBytes; limit > 0 && size > 0 && have+size > limit {
		return fmt.Errorf("%d bytes of retained messages are kept, the limit is %d (maxRetainedBytes): %w", have, limit, store.ErrQuota)
	}
	if old != nil || v.opts.MaxTopics <= 0 {
		return nil
	}
	have, err := view.Counted(v.db, countKey(topic.First(m.Topic)))
	if err != nil {
		return err
	}
	if have >= v.opts.MaxTopics {
		return fmt.Errorf("%d topics with this first level have a retained message, the limit is %d (maxRetainedTopicNum): %w", have, v.opts.MaxTopics, store.ErrQuota)
	}
	return nil
}
