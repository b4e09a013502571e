package rocketmqtest

// anyPath makes a broker find none in the paths of its commit log: it is the regular expression that separates them.
const anyPath = ".+"

// DiskFull makes the broker refuse writes for want of disk space from its next Start on, or accept them again. It answers sends with code 14
// (SERVICE_NOT_AVAILABLE), and goes on serving reads.
//
// 4.9.7 looks at its disk a second after it has started; 5.x only a minute after, and until then takes messages.
//
// CleanCommitLogService (DefaultMessageStore) takes the least of the ratios of disk in use of all paths of the commit log, starting from
// 100, and compares it with diskSpaceWarningLevelRatio, which 5.x does not let fall below 0.35: on a disk that is emptier nothing
// makes that ratio true. But without a path the 100 stays. The file queue looks for the separator as a plain string, and finds one path.
func (b *Broker) DiskFull(full bool) {
	splitter := ""
	if full {
		splitter = anyPath
	}
	b.Property("rocketmq.broker.multiPathSplitter", splitter)
}
