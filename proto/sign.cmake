# Tests and fuzz target of tidings_sign (keys, Noise, the secure channel).
target_sources(tidings_sign PRIVATE key_file.c)
