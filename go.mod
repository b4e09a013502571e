module github.com/rocketmqtt/rocketmqtt

go 1.26
