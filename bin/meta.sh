#!/bin/sh
# The Java proxy keeps retained messages and wills in a second process, started with this script. rocketmqtt has
# no such process, so there is nothing to start or stop; scripts that call it go on working.
echo "rocketmqtt has no meta process: nothing to ${1:-start}"
