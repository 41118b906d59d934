# Sources of the codec that are shared inside it, and its tests.
target_sources(tidings_proto PRIVATE wire.c client_response.c client_status.c client_members.c
                                     client_detours.c roster_find.c leaving.c)

td_module(tidings_proto_test SOURCES test_support.c test_messages.c USES tidings_sign)
foreach(rule order clock reader merkle delta batch head roster leaving frame client_msg room)
  td_test(${rule}_test SOURCES ${rule}_test.c USES tidings_proto_test)
endforeach()

# One fuzz target a decoder; fuzz_seeds writes the committed seeds of all of them.
td_module(tidings_fuzz_support SOURCES fuzz/fuzz_support.c USES tidings_proto)
foreach(decoder reader delta batch head roster card msg request response token)
  td_fuzz(fuzz_${decoder} SOURCES fuzz/fuzz_${decoder}.c USES tidings_fuzz_support)
endforeach()
add_executable(fuzz_seeds EXCLUDE_FROM_ALL fuzz/seeds.c)
target_link_libraries(fuzz_seeds PRIVATE tidings_proto_test tidings_fuzz_support)

# Golden vectors: the frozen files are read by vectors_test; vectors_generate wrote them.
td_test(vectors_test SOURCES vectors_test.c vectors/vector.c USES tidings_proto_test)
add_executable(vectors_generate EXCLUDE_FROM_ALL vectors/generate.c vectors/vector.c)
target_link_libraries(vectors_generate PRIVATE tidings_proto_test)
