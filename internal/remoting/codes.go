package remoting

// Codes of requests (class RequestCode).
const (
	codePullMessage        int32 = 11
	codeQueryMessage       int32 = 12
	codeQueryOffset        int32 = 14
	codeUpdateOffset       int32 = 15
	codeCreateTopic        int32 = 17
	codeAllTopicConfig     int32 = 21
	codeBrokerConfig       int32 = 26
	codeBrokerRuntime      int32 = 28
	codeSearchOffset       int32 = 29
	codeMaxOffset          int32 = 30
	codeMinOffset          int32 = 31
	codeViewMessage        int32 = 33
	codeHeartbeat          int32 = 34
	codeConsumerList       int32 = 38
	codePutKV              int32 = 100
	codeGetKV              int32 = 101
	codeDeleteKV           int32 = 102
	codeRoute              int32 = 105
	codeClusterInfo        int32 = 106
	codeDeleteTopic        int32 = 215
	codeDeleteTopicNamesrv int32 = 216
	codeListKV             int32 = 219
	codeSendMessageV2      int32 = 310
	codeSendBatch          int32 = 320
	codeTopicConfig        int32 = 351 // from 5.0 on
)

// Codes of answers (classes RemotingSysResponseCode and ResponseCode).
const (
	CodeSuccess             int32 = 0
	CodeSystemError         int32 = 1
	CodeSystemBusy          int32 = 2
	CodeNotSupported        int32 = 3 // the peer does not know the request's code
	CodeMessageIllegal      int32 = 13
	CodeServiceNotAvailable int32 = 14
	CodeNoPermission        int32 = 16 // the broker's or topic's perm, or access control
	CodeTopicNotExist       int32 = 17
	CodeQueryNotFound       int32 = 22
	CodeGroupNotExist       int32 = 26
	CodeInvalidParameter    int32 = 29 // a queue id beyond the topic's queues
	CodeFlowControl         int32 = 215
	CodeGoAway              int32 = 1500 // the peer is shutting down
)

// Bits of a header's flag (class RemotingCommand).
const (
	flagResponse int32 = 1 << 0
	flagOneway   int32 = 1 << 1
)

// What we say of ourselves. The version decides what peers send (class MQVersion, ordinal 212+20*minor+2*patch+1 in 4.x): from
// V4_9_4 on name servers answer in standard JSON, and after V5_3_1 brokers answer GO_AWAY when they stop instead of nothing.
const (
	languageGo     = 9   // class LanguageCode
	versionOrdinal = 493 // V5_4_0

	// Up to V4_9_3 the field uniqueKeyFlag is not signed.
	versionUnsignedFlag = 399
	uniqueKeyFlag       = "_UNIQUE_KEY_QUERY" // class MixAll, UNIQUE_MSG_QUERY_FLAG
)
