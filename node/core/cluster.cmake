# Several replicas in one process and in virtual time: the harness, and the stories told with it.
td_module(tidings_core_cluster
  SOURCES cluster_harness.c cluster_node.c cluster_links.c cluster_checks.c cluster_wire.c
  USES tidings_core)
foreach(rule cluster cluster_random cluster_fresh cluster_repair cluster_bucket cluster_source)
  td_test(${rule}_test SOURCES ${rule}_test.c USES tidings_core_cluster)
endforeach()
