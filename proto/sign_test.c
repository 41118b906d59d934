/* sign_test.c -- signatures, hashes, key texts, and which key files are trusted. */
#include "proto/sign_sodium.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { PATH_BYTES = 200, WHY_BYTES = 300 };

struct fixture {
    struct td_secret *secret;
    struct td_sodium_signer sodium;
    struct td_signer signer;
    struct td_public_key key;
};

static void open_fixture(struct fixture *fixture)
{
    uint8_t seed[TD_SEED_BYTES] = {42};

    assert_int_equal(td_secret_from_seed(seed, &fixture->secret), TD_OK);
    fixture->key = td_secret_identity(fixture->secret)->sign_key;
    fixture->sodium = (struct td_sodium_signer){fixture->secret, td_cluster_id_of(&fixture->key)};
    fixture->signer = td_sodium_signer(&fixture->sodium);
}

static struct td_bytes bytes_of(const char *text)
{
    return (struct td_bytes){(const uint8_t *)text, strlen(text)};
}

static void test_a_signature_holds_for_its_bytes_context_and_key_only(void **state)
{
    struct fixture fixture;
    struct td_signature signature;
    uint8_t message[40] = "forty bytes that are signed";

    (void)state;
    open_fixture(&fixture);
    struct td_signer *signer = &fixture.signer;
    struct td_bytes bytes = {message, sizeof message};
    signer->sign(signer->self, TD_CONTEXT_BATCH, bytes, &signature);
    assert_true(signer->verify(signer->self, &fixture.key, TD_CONTEXT_BATCH, bytes, &signature));
    assert_false(signer->verify(signer->self, &fixture.key, TD_CONTEXT_HEAD, bytes, &signature));
    for (size_t bit = 0; bit < sizeof message * 8; bit++) {
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(
            signer->verify(signer->self, &fixture.key, TD_CONTEXT_BATCH, bytes, &signature));
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < sizeof signature.bytes * 8; bit++) {
        signature.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(
            signer->verify(signer->self, &fixture.key, TD_CONTEXT_BATCH, bytes, &signature));
        signature.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    struct td_public_key other = td_secret_identity(fixture.secret)->link_key;
    assert_false(signer->verify(signer->self, &other, TD_CONTEXT_BATCH, bytes, &signature));
    td_secret_free(fixture.secret);
}

/* The strict rule: with the identity as key and as R, S = 0 is "valid" to lax libraries. */
static void test_small_order_keys_sign_nothing(void **state)
{
    struct fixture fixture;
    struct td_public_key identity = {{1}};
    struct td_signature signature = {{1}};

    (void)state;
    open_fixture(&fixture);
    assert_false(fixture.signer.verify(fixture.signer.self, &identity, TD_CONTEXT_BATCH,
                                       bytes_of("x"), &signature));
    td_secret_free(fixture.secret);
}

static void test_messages_beyond_the_stack_buffer_are_signed_whole(void **state)
{
    static const size_t counts[] = {0, 1007, 1008, 1009, 1010, 192 * 1024, 512 * 1024};
    struct fixture fixture;
    uint8_t *message = calloc(1, 512 * 1024);

    (void)state;
    assert_non_null(message);
    open_fixture(&fixture);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct td_signer *signer = &fixture.signer;
        struct td_bytes bytes = {message, counts[i]};
        struct td_signature signature;
        signer->sign(signer->self, TD_CONTEXT_HEAD, bytes, &signature);
        assert_true(signer->verify(signer->self, &fixture.key, TD_CONTEXT_HEAD, bytes, &signature));
        if (counts[i] > 0) {
            message[counts[i] - 1] ^= 1;
            assert_false(
                signer->verify(signer->self, &fixture.key, TD_CONTEXT_HEAD, bytes, &signature));
            message[counts[i] - 1] ^= 1;
        }
    }
    free(message);
    td_secret_free(fixture.secret);
}

static void test_hashes_depend_on_prefix_cluster_and_cut(void **state)
{
    struct fixture fixture;
    struct td_hash one;
    struct td_hash two;
    uint8_t sum_one[16];
    uint8_t sum_two[16];

    (void)state;
    open_fixture(&fixture);
    struct td_signer *signer = &fixture.signer;
    signer->hash(signer->self, 0, bytes_of("ab"), bytes_of("c"), &one);
    signer->hash(signer->self, 0, bytes_of("a"), bytes_of("bc"), &two);
    assert_memory_equal(one.bytes, two.bytes, 32); /* of the bytes put together */
    signer->hash(signer->self, 1, bytes_of("ab"), bytes_of("c"), &two);
    assert_memory_not_equal(one.bytes, two.bytes, 32);
    signer->checksum(signer->self, bytes_of("ab"), bytes_of("c"), sum_one);
    signer->checksum(signer->self, bytes_of("a"), bytes_of("bc"), sum_two);
    assert_memory_not_equal(sum_one, sum_two, 16);
    signer->checksum(signer->self, bytes_of("ab"), bytes_of("c"), sum_two);
    assert_memory_equal(sum_one, sum_two, 16);
    struct td_text job = {"acme/1", 6};
    uint64_t here = signer->job_hash(signer->self, job);
    assert_int_equal(here, signer->job_hash(signer->self, job));
    fixture.sodium.cluster.bytes[0] ^= 1;
    assert_int_not_equal(here, signer->job_hash(signer->self, job));
    td_secret_free(fixture.secret);
}

static void test_a_key_text_comes_back_and_no_changed_character_passes(void **state)
{
    struct fixture fixture;
    char text[TD_KEY_TEXT_BYTES];
    struct td_identity back;

    (void)state;
    open_fixture(&fixture);
    const struct td_identity *identity = td_secret_identity(fixture.secret);
    td_identity_to_text(identity, text);
    assert_memory_equal(text, "tdpk1:", 6);
    assert_int_equal(td_identity_from_text(text, &back), TD_OK);
    assert_memory_equal(&back, identity, sizeof back);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char before = text[i];
        for (const char *other = "A_-b0= \n+/:"; *other != '\0'; other++) {
            text[i] = *other;
            if (*other != before) {
                assert_int_equal(td_identity_from_text(text, &back), TD_EKEYTEXT);
            }
        }
        text[i] = '\0';
        assert_int_equal(td_identity_from_text(text, &back), TD_EKEYTEXT);
        text[i] = before;
    }
    strcat(text, "A");
    assert_int_equal(td_identity_from_text(text, &back), TD_EKEYTEXT);
    td_secret_free(fixture.secret);
}

static void test_a_created_key_file_is_private_and_never_overwritten(void **state)
{
    char folder[] = "/tmp/tidings-key-test-XXXXXX";
    char path[PATH_BYTES];
    char why[WHY_BYTES] = "";
    struct td_secret *made = NULL;
    struct td_secret *read = NULL;
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/node.key", folder);
    assert_int_equal(td_key_file_create(path, &made, why, sizeof why), TD_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(td_key_file_read(path, &read, why, sizeof why), TD_OK);
    assert_memory_equal(td_secret_identity(made), td_secret_identity(read),
                        sizeof(struct td_identity));
    td_secret_free(read);
    assert_int_equal(td_key_file_create(path, &read, why, sizeof why), TD_EEXISTS);
    assert_non_null(strstr(why, "exists"));
    td_secret_free(made);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

/* path does not exist before. */
static void refused(const char *path, const char *reason)
{
    struct td_secret *secret = NULL;
    char why[WHY_BYTES] = "";

    assert_int_equal(td_key_file_read(path, &secret, why, sizeof why), TD_EKEYFILE);
    assert_non_null(strstr(why, path));
    if (strstr(why, reason) == NULL) {
        fail_msg("'%s' does not say '%s'", why, reason);
    }
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
}

static void test_key_files_that_others_could_touch_are_refused_with_the_remedy(void **state)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0602, 0610, 0601, 0777};
    char folder[] = "/tmp/tidings-key-test-XXXXXX";
    char path[PATH_BYTES];
    char other[PATH_BYTES];
    char why[WHY_BYTES] = "";
    struct td_secret *secret = NULL;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/node.key", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(td_key_file_create(path, &secret, why, sizeof why), TD_OK);
    td_secret_free(secret);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        refused(path, "chmod 600");
    }
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    refused(path, "chmod o-w");
    assert_int_equal(chmod(folder, 0700), 0);

    assert_int_equal(symlink(path, other), 0);
    refused(other, "symbolic link");
    unlink(other);
    assert_int_equal(mkfifo(other, 0600), 0);
    refused(other, "not a regular file"); /* and does not hang */
    unlink(other);
    assert_int_equal(mkdir(other, 0700), 0);
    refused(other, "not a regular file");
    rmdir(other);
    refused(other, "No such file");
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 0), 0);
        refused(path, "owned by uid 12345");
    }
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void test_key_files_with_other_contents_are_refused(void **state)
{
    char folder[] = "/tmp/tidings-key-test-XXXXXX";
    char path[PATH_BYTES];
    char long_text[400];
    static const char *const texts[] = {
        "",
        "\n",
        "tdsk1:",
        "tdsk1:AAAA\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "0000000000000000000000000000000000000000000000000000000000000000\n",
        "tdsk1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    };

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/node.key", folder);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text(path, texts[i]);
        refused(path, "tdsk1:");
    }
    memset(long_text, 'A', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    write_text(path, long_text);
    refused(path, "tdsk1:");
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

/* A name in a folder that cannot exist, and one longer than any path. */
static void test_a_key_file_out_of_reach_is_named_with_the_reason(void **state)
{
    static char endless[8192];
    struct td_secret *secret = NULL;
    char why[sizeof endless + WHY_BYTES] = "";

    (void)state;
    memset(endless, 'a', sizeof endless - 3);
    memcpy(endless + sizeof endless - 3, "/k", 3);
    assert_int_equal(td_key_file_read(endless, &secret, why, sizeof why), TD_EKEYFILE);
    assert_non_null(strstr(why, "too long"));
    assert_int_equal(td_key_file_create(endless, &secret, why, sizeof why), TD_EKEYFILE);
    assert_non_null(strstr(why, "too long"));
    refused("/tmp/tidings-no-such-folder/node.key", "cannot read the folder");
    refused("/tidings-no-such-key", "No such file");
    refused("tidings-no-such-key", "No such file");
    assert_int_equal(td_key_file_create("/proc/tidings.key", &secret, why, sizeof why), TD_EKEYFILE);
    assert_non_null(strstr(why, "/proc/tidings.key"));
    assert_null(secret);
}

/* A disk that takes only a part of the key must not leave a file that looks like one. */
static void test_a_key_that_cannot_be_written_whole_leaves_no_file(void **state)
{
    char folder[] = "/tmp/tidings-key-test-XXXXXX";
    char path[PATH_BYTES];
    char why[WHY_BYTES] = "";
    struct td_secret *secret = NULL;
    struct rlimit before;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/node.key", folder);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit little = {10, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    enum td_err err = td_key_file_create(path, &secret, why, sizeof why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(err, TD_EIO);
    assert_non_null(strstr(why, "writing failed"));
    assert_null(secret);
    assert_int_equal(rmdir(folder), 0); /* it is empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signature_holds_for_its_bytes_context_and_key_only),
        cmocka_unit_test(test_small_order_keys_sign_nothing),
        cmocka_unit_test(test_messages_beyond_the_stack_buffer_are_signed_whole),
        cmocka_unit_test(test_hashes_depend_on_prefix_cluster_and_cut),
        cmocka_unit_test(test_a_key_text_comes_back_and_no_changed_character_passes),
        cmocka_unit_test(test_a_created_key_file_is_private_and_never_overwritten),
        cmocka_unit_test(test_key_files_that_others_could_touch_are_refused_with_the_remedy),
        cmocka_unit_test(test_key_files_with_other_contents_are_refused),
        cmocka_unit_test(test_a_key_file_out_of_reach_is_named_with_the_reason),
        cmocka_unit_test(test_a_key_that_cannot_be_written_whole_leaves_no_file),
    };

    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
