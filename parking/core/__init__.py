"""The rules of parking by code: no web, no database, no clock, no configuration, no I/O.

A lane computer ships this package alone (with pydantic, PyJWT, cryptography, qrcode and Pillow).
"""
