# Sources of the codec that are shared inside it, and its tests.
target_sources(tidings_proto PRIVATE wire.c client_response.c roster_find.c)
