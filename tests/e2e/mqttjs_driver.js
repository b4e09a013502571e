// Drives MQTT.js clients for the end to end tests: the same protocol as paho_driver.py.
'use strict'

const mqtt = require('mqtt')
const readline = require('node:readline')

const clients = new Map()
const emit = (line) => process.stdout.write(JSON.stringify(line) + '\n')

// A user property may come several times: MQTT.js wants and gives {name: [values]}, which keeps the order of the
// values of one name only.
function publishProperties (wanted) {
  if (!wanted) return undefined
  const p = {}
  if (wanted.user) {
    p.userProperties = {}
    for (const [key, value] of wanted.user) (p.userProperties[key] ??= []).push(value)
  }
  if (wanted.contentType) p.contentType = wanted.contentType
  if (wanted.responseTopic) p.responseTopic = wanted.responseTopic
  if (wanted.correlation) p.correlationData = Buffer.from(wanted.correlation, 'base64')
  if (wanted.expiry) p.messageExpiryInterval = wanted.expiry
  if (wanted.format) p.payloadFormatIndicator = true
  return p
}

function receivedProperties (p) {
  if (!p) return {}
  const user = []
  for (const [key, values] of Object.entries(p.userProperties ?? {})) {
    for (const value of [values].flat()) user.push([key, value])
  }
  return {
    user,
    contentType: p.contentType ?? '',
    responseTopic: p.responseTopic ?? '',
    correlation: p.correlationData ? p.correlationData.toString('base64') : '',
    expiry: p.messageExpiryInterval ?? 0,
    format: p.payloadFormatIndicator ? 1 : 0
  }
}

function connect (cmd) {
  const c = mqtt.connect(cmd.url, {
    protocolVersion: cmd.version,
    protocolId: cmd.version === 3 ? 'MQIsdp' : 'MQTT',
    clientId: cmd.clientId,
    clean: cmd.clean,
    reconnectPeriod: cmd.reconnect ? 100 : 0,
    resubscribe: false,
    keepalive: 30,
    will: cmd.will && {
      topic: cmd.will.topic,
      payload: Buffer.from(cmd.will.payload, 'base64'),
      qos: cmd.will.qos,
      retain: cmd.will.retain,
      properties: cmd.version === 5 ? { willDelayInterval: cmd.willDelay } : undefined
    },
    properties: cmd.version === 5 ? { sessionExpiryInterval: cmd.expiry } : undefined
  })
  clients.set(cmd.c, c)
  let connecting = true
  let told = 0
  c.on('connect', (connack) => {
    if (connecting) {
      const assigned = connack.properties?.assignedClientIdentifier ?? ''
      emit({ re: cmd.id, codes: [0], present: connack.sessionPresent, assigned })
    } else {
      emit({ event: 'up', c: cmd.c, present: connack.sessionPresent })
    }
    connecting = false
  })
  c.on('disconnect', (packet) => { told = packet.reasonCode ?? 0 })
  c.on('close', () => {
    if (!connecting) emit({ event: 'down', c: cmd.c, code: told })
    told = 0
  })
  c.on('error', (err) => {
    if (connecting) emit({ re: cmd.id, codes: [err.code ?? 0x80] })
    connecting = false
  })
  c.on('message', (topic, payload, packet) => emit({
    event: 'message',
    c: cmd.c,
    topic,
    payload: payload.toString('base64'),
    qos: packet.qos,
    dup: packet.dup,
    retain: packet.retain,
    props: receivedProperties(packet.properties)
  }))
}

const commands = {
  connect,
  subscribe (cmd) {
    clients.get(cmd.c).subscribe(cmd.filter, { qos: cmd.qos }, (err, granted, packet) => {
      if (packet) emit({ re: cmd.id, codes: packet.granted })
      else emit({ re: cmd.id, error: String(err) })
    })
  },
  publish (cmd) {
    const options = { qos: cmd.qos, retain: cmd.retain, properties: publishProperties(cmd.props) }
    clients.get(cmd.c).publish(cmd.topic, Buffer.from(cmd.payload, 'base64'), options, (err, packet) => {
      if (err && err.code === undefined) emit({ re: cmd.id, error: String(err) })
      else emit({ re: cmd.id, codes: [err?.code ?? packet?.reasonCode ?? 0] })
    })
  },
  disconnect (cmd) {
    clients.get(cmd.c).end(false, {}, () => emit({ re: cmd.id, codes: [0] }))
  },
  drop (cmd) { // closes the socket without a DISCONNECT
    const c = clients.get(cmd.c)
    c.once('close', () => emit({ re: cmd.id, codes: [0] }))
    c.stream.destroy()
  }
}

readline.createInterface({ input: process.stdin })
  .on('line', (line) => {
    const cmd = JSON.parse(line)
    try {
      commands[cmd.op](cmd)
    } catch (err) {
      emit({ re: cmd.id, error: String(err) })
    }
  })
  .on('close', () => process.exit(0))
