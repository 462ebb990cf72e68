"""unusual.py as PyInstaller packs it: one program that brings its interpreter, and code without files."""

import os
import sys

import zipped

with open(os.path.join(sys._MEIPASS, "unusual.py")) as text:
    source = text.read()
zipped.run(source)
