/* cmd_keys.c -- keygen and pubkey: secrets stay in their file, public keys go to stdout. */
#include "node/cli/cli.h"
#include "proto/sign_sodium.h"

static int print_public(const struct td_cli *cli, const struct td_secret *secret)
{
    char text[TD_KEY_TEXT_BYTES];

    td_identity_to_text(td_secret_identity(secret), text);
    if (td_cli_json(cli)) {
        return td_cli_print_json(cli,
                                 json_pack("{s:s, s:s}", "schema", "tidings.key/1", "key", text));
    }
    puts(text);
    return 0;
}

int td_cmd_keygen(struct td_cli *cli)
{
    struct td_secret *secret = NULL;
    char why[512] = "";
    const char *path = td_args_text(cli->args, TD_FLAG_OUT);

    if (path == NULL) {
        return td_cli_fail(cli, TD_EUSAGE, "-o FILE is missing: where shall the secret key go?");
    }
    enum td_err err = td_key_file_create(path, &secret, why, sizeof why);
    if (err != TD_OK) {
        return td_cli_fail(cli, err, "%s", td_cli_shown(td_text_of(why)));
    }
    int code = print_public(cli, secret);
    td_secret_free(secret);
    return code;
}

int td_cmd_pubkey(struct td_cli *cli)
{
    struct td_secret *secret = NULL;
    char why[512] = "";

    enum td_err err = td_key_file_read(cli->args->arguments[0], &secret, why, sizeof why);
    if (err != TD_OK) {
        return td_cli_fail(cli, err, "%s", td_cli_shown(td_text_of(why)));
    }
    int code = print_public(cli, secret);
    td_secret_free(secret);
    return code;
}
