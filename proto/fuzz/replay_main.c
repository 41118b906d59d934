/* replay_main.c -- runs a fuzz target over the committed corpus without libFuzzer, so that gcc
 * builds and every commit replay it. An empty or missing corpus is a failure. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { INPUT_BYTES_MAX = 4 * 1024 * 1024 };

static int replay(const char *folder, const char *name, uint8_t *bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t count = fread(bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    /* A block of the exact size, so that a sanitizer sees one byte too far. */
    uint8_t *exact = malloc(count + (count == 0));
    if (exact == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        exact[i] = bytes[i];
    }
    LLVMFuzzerTestOneInput(exact, count);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    unsigned count = 0;
    int failed = 0;
    if (folder == NULL || bytes == NULL) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        free(bytes);
        return 2;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            failed |= replay(argv[1], entry->d_name, bytes);
            count++;
        }
    }
    closedir(folder);
    free(bytes);
    printf("%u inputs\n", count);
    return failed != 0 || count == 0;
}
