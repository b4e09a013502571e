"""Drives Paho Python clients for the end to end tests.

Reads one JSON command per line from standard input, and writes replies {"re": id, ...} and events
{"event": ..., "c": client, ...} to standard output, one per line. driver_test.go is the other end.
"""

import base64
import json
import socket
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

out_lock = threading.Lock()
clients = {}


def emit(**line):
    with out_lock:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def publish_properties(wanted):
    if not wanted:
        return None
    p = Properties(PacketTypes.PUBLISH)
    for key, value in wanted.get("user") or []:
        p.UserProperty = (key, value)
    if wanted.get("contentType"):
        p.ContentType = wanted["contentType"]
    if wanted.get("responseTopic"):
        p.ResponseTopic = wanted["responseTopic"]
    if wanted.get("correlation"):
        p.CorrelationData = base64.b64decode(wanted["correlation"])
    if wanted.get("expiry"):
        p.MessageExpiryInterval = wanted["expiry"]
    if wanted.get("format"):
        p.PayloadFormatIndicator = wanted["format"]
    return p


def received_properties(p):
    if p is None:
        return {}
    return {
        "user": [list(pair) for pair in getattr(p, "UserProperty", [])],
        "contentType": getattr(p, "ContentType", ""),
        "responseTopic": getattr(p, "ResponseTopic", ""),
        "correlation": base64.b64encode(getattr(p, "CorrelationData", b"")).decode(),
        "expiry": getattr(p, "MessageExpiryInterval", 0),
        "format": getattr(p, "PayloadFormatIndicator", 0),
    }


class Paho(mqtt.Client):
    """Paho, without a defect of 2.2.0: every attempt to connect resets the exchanges that are open, and the second one forgets
    that PUBREL is owed. The message is then published again, as a new one: to be delivered twice is what that asks for."""

    def _messages_reconnect_reset_out(self):
        owed = [m for m in self._out_messages.values() if m.state == mqtt.mqtt_ms_resend_pubrel]
        super()._messages_reconnect_reset_out()
        for m in owed:
            m.state = mqtt.mqtt_ms_resend_pubrel


class Client:
    """One Paho client; replies to commands when their acknowledgement comes."""

    def __init__(self, name, cmd):
        self.name = name
        self.version = cmd["version"]
        self.lock = threading.RLock()  # guards waiting and early
        self.waiting = {}  # mid -> command id
        self.early = {}  # acknowledged before publish or subscribe returned
        self.connecting = cmd["id"]
        extra = {} if self.version == 5 else {"clean_session": cmd["clean"]}
        c = Paho(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=cmd["clientId"],
            protocol=self.version,
            reconnect_on_failure=cmd["reconnect"],
            **extra,
        )
        c.reconnect_delay_set(0.05, 0.2)
        c.on_connect = self.on_connect
        c.on_disconnect = self.on_disconnect
        c.on_message = self.on_message
        c.on_publish = lambda _c, _u, mid, code, _p: self.acknowledged(mid, [code.value])
        c.on_subscribe = lambda _c, _u, mid, codes, _p: self.acknowledged(mid, [code.value for code in codes])
        self.paho = c
        if cmd.get("will"):
            self.set_will(c, cmd)
        options = {}
        if self.version == 5:
            p = Properties(PacketTypes.CONNECT)
            p.SessionExpiryInterval = cmd["expiry"]
            options = {"clean_start": cmd["clean"], "properties": p}
        c.connect(cmd["host"], cmd["port"], keepalive=30, **options)
        c.loop_start()

    def set_will(self, c, cmd):
        will, properties = cmd["will"], None
        if self.version == 5:
            properties = Properties(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = cmd["willDelay"]
        payload = base64.b64decode(will["payload"])
        c.will_set(will["topic"], payload, qos=will["qos"], retain=will["retain"], properties=properties)

    def on_connect(self, _client, _userdata, flags, code, properties):
        assigned = getattr(properties, "AssignedClientIdentifier", "")
        if self.connecting is not None:
            emit(re=self.connecting, codes=[code.value], present=flags.session_present, assigned=assigned)
            self.connecting = None
        else:
            emit(event="up", c=self.name, present=flags.session_present)

    def on_disconnect(self, _client, _userdata, flags, code, _properties):
        told = code.value if flags.is_disconnect_packet_from_server else 0
        emit(event="down", c=self.name, code=told)

    def on_message(self, _client, _userdata, m):
        emit(
            event="message",
            c=self.name,
            topic=m.topic,
            payload=base64.b64encode(m.payload).decode(),
            qos=m.qos,
            dup=bool(m.dup),
            retain=bool(m.retain),
            props=received_properties(m.properties),
        )

    def acknowledged(self, mid, codes):
        with self.lock:
            command = self.waiting.pop(mid, None)
            if command is None:
                self.early[mid] = codes
                return
        emit(re=command, codes=codes)

    def wait(self, command, send):
        """Replies to command when what send sent is acknowledged."""
        with self.lock:
            mid = send()
            if mid not in self.early:
                self.waiting[mid] = command
                return
            codes = self.early.pop(mid)
        emit(re=command, codes=codes)

    def subscribe(self, cmd):
        qos = cmd["qos"]
        options = {"options": SubscribeOptions(qos=qos)} if self.version == 5 else {"qos": qos}
        self.wait(cmd["id"], lambda: self.paho.subscribe(cmd["filter"], **options)[1])

    def publish(self, cmd):
        payload = base64.b64decode(cmd["payload"])
        properties = publish_properties(cmd.get("props")) if self.version == 5 else None
        self.wait(
            cmd["id"],
            lambda: self.paho.publish(
                cmd["topic"], payload, qos=cmd["qos"], retain=cmd["retain"], properties=properties
            ).mid,
        )

    def disconnect(self, cmd):
        self.paho.disconnect()
        self.paho.loop_stop()
        emit(re=cmd["id"], codes=[0])

    def drop(self, cmd):
        """Closes the socket without a DISCONNECT."""
        self.paho.socket().shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()
        emit(re=cmd["id"], codes=[0])


def main():
    for line in sys.stdin:
        cmd = json.loads(line)
        try:
            if cmd["op"] == "connect":
                clients[cmd["c"]] = Client(cmd["c"], cmd)
            else:
                getattr(clients[cmd["c"]], cmd["op"])(cmd)
        except Exception as e:  # the test decides what a failed command means
            emit(re=cmd["id"], error=f"{type(e).__name__}: {e}")


main()
