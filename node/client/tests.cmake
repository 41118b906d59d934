# Tests of this folder, beside their sources.
td_test(client_test SOURCES client_test.c fake_node.c USES tidings_client)
td_test(client_read_test SOURCES read_test.c fake_node.c USES tidings_client)
td_test(client_text_test SOURCES text_test.c USES tidings_client)
td_test(client_spool_test SOURCES spool_test.c USES tidings_client)
td_test(client_json_test SOURCES json_test.c USES tidings_json)
td_test(client_seen_test SOURCES seen_test.c USES tidings_client)
