"""Where directions go: standard output, files, OSC, TCP, MQTT and a live page.

Every sink takes the same messages, the objects that `doa_edge run` prints: estimates, which have
the key `azimuth_deg`, and events, which have the key `event`. Nothing is imported here. The parts:

    sink    what a sink is, and a bounded queue with a thread in front of a slow one
    lines   JSON lines to standard output, and to files that are rotated
    osc     Open Sound Control over UDP
    tcp     JSON in the layout of ODAS, listening or connecting
    mqtt    an MQTT broker
    server  an event loop in a thread, which `tcp` and `web` listen in
    web     the live page and its WebSocket
    hub     all sinks of a run
"""
