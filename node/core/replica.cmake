# Tests of a single replica.
td_module(tidings_replica_test SOURCES replica_harness.c replica_peer.c cluster_wire.c USES tidings_core)
foreach(rule leaving publish merge recovery query random peers status bounds checks memory members transfer refused
             backlog compact)
  td_test(core_${rule}_test SOURCES ${rule}_test.c USES tidings_replica_test)
endforeach()
add_executable(core_bench core_bench.c)
target_link_libraries(core_bench PRIVATE tidings_core)
