#!/bin/sh
# Runs rocketmqtt in the background on the conf files in conf/, as the Java proxy's mqtt.sh does.
#
#   bin/mqtt.sh start [flags of "rocketmqtt serve"]
#   bin/mqtt.sh stop | restart [flags] | status
#
# ROCKETMQ_MQTT_HOME is the directory that holds bin/ and conf/ (default: the parent of this script's). The log goes
# to logs/rocketmqtt.log there, the process id to logs/rocketmqtt.pid, the data to data/.
# start returns when clients can connect, or after ROCKETMQ_MQTT_START_WAIT seconds (10): the process goes on waiting for RocketMQ.
# Exit codes: 0 done (status: it runs), 1 failed, 2 bad usage, 3 status: it does not run.
set -u

prg=$0
while [ -h "$prg" ]; do
	link=$(readlink "$prg")
	case $link in
	/*) prg=$link ;;
	*) prg=$(dirname "$prg")/$link ;;
	esac
done
home=${ROCKETMQ_MQTT_HOME:-$(dirname "$prg")/..}
home=$(cd "$home" && pwd) || exit 1
binary=$home/bin/rocketmqtt
log=$home/logs/rocketmqtt.log
pidfile=$home/logs/rocketmqtt.pid

# ended tells whether the process $pid is gone, or would be if somebody waited for it.
ended() {
	kill -0 "$pid" 2>/dev/null || return 0
	if [ -r "/proc/$pid/status" ]; then
		grep -q '^State:[[:space:]]*[ZX]' "/proc/$pid/status"
	else
		ps -p "$pid" -o stat= | grep -q '^Z'
	fi
}

command_line() {
	if [ -r "/proc/$pid/cmdline" ]; then
		tr '\0' ' ' <"/proc/$pid/cmdline"
	else
		ps -p "$pid" -o args=
	fi
}

# running sets pid and tells whether it is a process of ours: after a crash the number may be another program's.
running() {
	pid=$(cat "$pidfile" 2>/dev/null) && [ -n "$pid" ] && ! ended && command_line | grep -qF "$binary serve"
}

# wait_for runs a check ten times a second, for at most so many seconds.
wait_for() {
	tries=$(($1 * 10))
	shift
	while [ "$tries" -gt 0 ]; do
		"$@" && return 0
		sleep 0.1
		tries=$((tries - 1))
	done
	return 1
}

gone() { ! running; }

# said looks for a pattern in what was logged since the start.
said() { tail -c +"$((before + 1))" "$log" | grep -qE "$1"; }

ready() { said 'msg=ready|"msg":"ready"'; }

# settled: it accepts connections, or it has ended.
settled() { ended || ready; }

start() {
	if running; then
		echo "rocketmqtt runs already, pid $pid"
		return 1
	fi
	if [ ! -x "$binary" ]; then
		echo "$binary is missing; build it with: make"
		return 1
	fi
	mkdir -p "$home/logs" && cd "$home" && : >>"$log" || return 1
	before=$(wc -c <"$log")
	nohup "$binary" serve --conf "$home/conf" "$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$pidfile"
	wait_for "${ROCKETMQ_MQTT_START_WAIT:-10}" settled
	if ended; then
		rm -f "$pidfile"
		echo "rocketmqtt did not start; $log ends with:"
		tail -n 5 "$log"
		return 1
	fi
	if ! ready && said 'waiting for RocketMQ'; then
		echo "rocketmqtt runs, pid $pid, and still waits for RocketMQ; until it answers no client can connect. $log ends with:"
		tail -n 1 "$log"
		return 0
	fi
	echo "rocketmqtt runs, pid $pid, log $log"
}

stop() {
	if gone; then
		rm -f "$pidfile"
		echo "rocketmqtt does not run"
		return 0
	fi
	kill "$pid"
	if ! wait_for 30 gone; then
		echo "rocketmqtt does not stop; killing it"
		kill -9 "$pid"
		wait_for 5 gone || return 1
	fi
	rm -f "$pidfile"
	echo "rocketmqtt stopped"
}

action=${1:-}
[ $# -gt 0 ] && shift
case $action in
start) start "$@" ;;
stop) stop ;;
restart) stop && start "$@" ;;
status)
	if running; then
		echo "rocketmqtt runs, pid $pid"
	else
		echo "rocketmqtt does not run"
		exit 3
	fi
	;;
*)
	echo "usage: $0 start | stop | restart | status" >&2
	exit 2
	;;
esac
