#!/usr/bin/env python3
"""The kernels that nvcc makes of statements and of layer norm keep what they compute with in registers: no array of theirs lies in
memory. (A subscript that the compiler does not know is enough to put sizes and strides there, and each thread then moves more bytes
for them than for its element.)   Usage: device_registers.py BUILD_FOLDER
"""
import json
import os
import re
import shlex
import subprocess
import sys

build = sys.argv[1]
source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device_registers.cu")
with open(os.path.join(build, "compile_commands.json")) as file:
    command = next(shlex.split(entry["command"]) for entry in json.load(file) if entry["file"].endswith("/hlip_test_device.cpp"))
drop = ("--generate-code", "--gpu-", "-O")
kept = [word for word in command[:command.index("-x")] if not word.startswith(drop)]
ptxas = subprocess.run([*kept, "-O3", "-arch=sm_90", "-Xptxas", "-v", "-cubin", "-o", os.devnull, "-x", "cu", source], capture_output=True, text=True)
said = ptxas.stdout + ptxas.stderr
if ptxas.returncode != 0:
    sys.exit(f"device_registers: nvcc failed\n{said}")
kernels = re.findall(r"Compiling entry function '(\S*run_(?:loop|block)\S*)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores", said, re.S)
in_memory = [f"{name}: {frame} bytes" for name, frame, spills in kernels if int(frame) or int(spills)]
if len(kernels) < 10:
    sys.exit(f"device_registers: {len(kernels)} kernels found in what ptxas says, at least 10 were expected\n{said}")
if in_memory:
    sys.exit("device_registers: these kernels keep arrays in memory\n" + "\n".join(in_memory))
print(f"device_registers: {len(kernels)} kernels, all in registers")
