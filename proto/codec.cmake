# Sources of the codec that are shared inside it, and its tests.
target_sources(tidings_proto PRIVATE wire.c client_response.c roster_find.c)

td_module(tidings_proto_test SOURCES test_support.c test_messages.c USES tidings_sign)
foreach(rule order clock reader merkle delta batch head roster frame client_msg)
  td_test(${rule}_test SOURCES ${rule}_test.c USES tidings_proto_test)
endforeach()
