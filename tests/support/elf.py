"""ELF files made by hand: programs and libraries of a few hundred bytes, for tests of who needs whom.

A program ends with status 7, if ld.so(8) has found all it needs.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

_CODES = {
    # mov edi, 7; mov eax, exit; syscall
    "x86_64": (62, bytes.fromhex("bf07000000 b83c000000 0f05")),
    # mov x0, 7; mov x8, exit; svc 0
    "aarch64": (183, bytes.fromhex("e00080d2 a80b80d2 010000d4")),
}
_MACHINE, _CODE = _CODES[os.uname().machine]
OTHER_MACHINE = 62 if _MACHINE == 183 else 183

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_DYN = struct.Struct("<QQ")
_ET_DYN, _PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_PHDR = 3, 1, 2, 3, 6
_NEEDED, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _RPATH, _RUNPATH = 1, 5, 6, 10, 11, 15, 29
_PAGE = 0x1000


def loader() -> str:
    """The loader of this machine's own programs."""
    with open("/bin/sh", "rb") as file:
        return next(str(s.get_interp_name()) for s in ELFFile(file).iter_segments() if isinstance(s, InterpSegment))


def write(
    path: Path,
    *needed: str,
    runpath: str = "",
    rpath: str = "",
    interpreter: str = "",
    machine: int = _MACHINE,
) -> Path:
    """A library that needs others; with an `interpreter` (the loader, say) a program. It has no section headers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    strings, tags = b"\0", []
    for tag, text in [*((_NEEDED, n) for n in needed), (_RPATH, rpath), (_RUNPATH, runpath)]:
        if text:
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    interp = interpreter.encode() + b"\0" if interpreter else b""
    segments = 4 if interp else 2
    # headers, then the path of the loader, strings, one empty symbol, code, and last the dynamic section
    at_interp = _EHDR.size + segments * _PHDR.size
    at_strings = at_interp + len(interp)
    at_symbols = at_strings + len(strings) + -(at_strings + len(strings)) % 8
    at_code = at_symbols + 24
    at_dynamic = at_code + len(_CODE) + -(at_code + len(_CODE)) % 8
    tags += [(_STRTAB, at_strings), (_STRSZ, len(strings)), (_SYMTAB, at_symbols), (_SYMENT, 24), (0, 0)]
    dynamic = b"".join(_DYN.pack(*tag) for tag in tags)
    size = at_dynamic + len(dynamic)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    data = bytearray(size)
    data[: _EHDR.size] = _EHDR.pack(
        ident, _ET_DYN, machine, 1, at_code, _EHDR.size, 0, 0, _EHDR.size, _PHDR.size, segments, 0, 0, 0
    )
    headers = [(_PT_LOAD, 7, 0, size, _PAGE), (_PT_DYNAMIC, 6, at_dynamic, len(dynamic), 8)]
    if interp:
        # ld.so knows by PT_PHDR where the kernel has put a program
        table = (_PT_PHDR, 4, _EHDR.size, segments * _PHDR.size, 8)
        headers = [table, (_PT_INTERP, 4, at_interp, len(interp), 1), *headers]
    for number, (kind, flags, offset, length, align) in enumerate(headers):
        at = _EHDR.size + number * _PHDR.size
        data[at : at + _PHDR.size] = _PHDR.pack(kind, flags, offset, offset, offset, length, length, align)
    for at, part in ((at_interp, interp), (at_strings, strings), (at_code, _CODE), (at_dynamic, dynamic)):
        data[at : at + len(part)] = part
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def without_sections(program: Path, path: Path) -> Path:
    """A copy of a program that has lost its section headers, which nothing but debuggers needs."""
    data = bytearray(program.read_bytes())
    data[40:48] = bytes(8)  # e_shoff
    data[60:64] = bytes(4)  # e_shnum, e_shstrndx
    path.write_bytes(data)
    path.chmod(0o755)
    return path
