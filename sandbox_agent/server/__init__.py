"""The HTTP face: routes, handlers, event streams, access rules, OpenAPI and the standalone server."""
