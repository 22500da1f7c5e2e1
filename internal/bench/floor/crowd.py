"""Puts so many sleeping processes on the machine: crowd.py COUNT.

Each sleeps on a pipe whose other end only this process holds, so that all end with
it, however it ends. It ends them when its own standard input does.
"""

import os
import sys

sleep, wake = os.pipe()
children = []
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.close(wake)
        os.close(0)
        os.close(1)
        os.read(sleep, 1)
        os._exit(0)
    children.append(child)
os.write(1, b"waiting 0 0\n")
sys.stdin.read()
os.close(wake)
for child in children:
    os.waitpid(child, 0)
