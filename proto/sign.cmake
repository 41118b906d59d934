# Further sources, tests and the fuzz target of tidings_sign (keys, Noise, the secure channel).
target_sources(tidings_sign PRIVATE key_file.c channel_handshake.c)
td_test(noise_test SOURCES noise_test.c USES tidings_sign PkgConfig::JANSSON)
td_test(channel_test SOURCES channel_test.c USES tidings_sign)
td_test(sign_test SOURCES sign_test.c USES tidings_sign)
td_fuzz(fuzz_channel SOURCES fuzz/fuzz_channel.c USES tidings_sign)
