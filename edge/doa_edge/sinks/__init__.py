"""Where directions go: lines, files, the terminal, a picture, and other programs.

Every sink takes the same messages, the objects that `doa_edge run` prints: estimates, which have
the key `azimuth_deg`, and events, which have the key `event`.

    sink        the interface, and a bounded queue with a thread in front of a slow sink
    lines       JSON lines to standard output, and to files that are rotated
    hub         all sinks of a run; `outputs` opens those that the options ask for
    view, plot  the terminal, a picture
    notify      systemd
    network     OSC, TCP, MQTT and the live page
"""
