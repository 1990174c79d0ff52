"""The /v1 contract as msgspec structs, one module an area.

Keys are camelCase on the wire. Absent and ``null`` mean the same in requests; answers leave out what is ``None``.
ACP payloads stay raw or plain JSON, so that fields unknown to us survive.
"""
