"""The gRPC interfaces, as `*.proto` and as the Python that `make protos` generates from them.

Only the messages are generated: this package needs no gRPC. Each side writes its few method
handlers by hand, under the service's name as the .proto file gives it.
"""
