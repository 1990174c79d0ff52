"""What is on the screen as its programs tell it: the accessibility tree (AT-SPI), asked for by a process of its own."""
