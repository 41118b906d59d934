/* relay.c -- the classic single broker at its plainest: one process, every update in by request and
 * out by NNG pub/sub. Keeps nothing. The incident replay compares tidings with it. incident-relay
 * IN-URL OUT-URL */
#include <stdio.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>

static int fail(const char *what, int err)
{
    fprintf(stderr, "incident-relay: %s: %s\n", what, nng_strerror(err));
    return 1;
}

/* Publishes a copy of the request, then answers with its empty husk: the header says whom. */
static int relay_one(nng_socket in, nng_socket out)
{
    nng_msg *request = NULL;
    nng_msg *copy = NULL;

    int err = nng_recvmsg(in, &request, 0);
    if (err != 0) {
        return err;
    }
    err = nng_msg_dup(&copy, request);
    if (err == 0) {
        nng_msg_header_clear(copy);
        err = nng_sendmsg(out, copy, 0);
        if (err != 0) {
            nng_msg_free(copy);
        }
    }
    if (err == 0) {
        nng_msg_clear(request);
        err = nng_sendmsg(in, request, 0);
    }
    if (err != 0) {
        nng_msg_free(request);
    }
    return err;
}

int main(int argc, char **argv)
{
    nng_socket in;
    nng_socket out;
    int err;

    if (argc != 3) {
        fprintf(stderr, "usage: incident-relay IN-URL OUT-URL\n");
        return 2;
    }
    /* Raw: a client may have many requests under way on one connection. */
    if ((err = nng_rep0_open_raw(&in)) != 0 || (err = nng_pub0_open(&out)) != 0) {
        return fail("open", err);
    }
    /* What a subscriber that reads slowly may have waiting; the most that NNG allows. */
    if ((err = nng_socket_set_int(out, NNG_OPT_SENDBUF, 8192)) != 0) {
        return fail("buffer", err);
    }
    if ((err = nng_listen(in, argv[1], NULL, 0)) != 0) {
        return fail(argv[1], err);
    }
    if ((err = nng_listen(out, argv[2], NULL, 0)) != 0) {
        return fail(argv[2], err);
    }
    while ((err = relay_one(in, out)) == 0) {
    }
    return fail("relay", err);
}
