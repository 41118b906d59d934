# Further sources, tests and the fuzz target of tidings_sign (keys, Noise, the secure channel).
target_sources(tidings_sign PRIVATE key_file.c)
td_test(noise_test SOURCES noise_test.c USES tidings_sign PkgConfig::JANSSON)
