# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sluice_global_optspecs
    string join \n c/config= log-level= t T s= v/version V h/help
end

function __fish_sluice_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sluice_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sluice_using_subcommand
    set -l cmd (__fish_sluice_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sluice -n "__fish_sluice_needs_command" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_needs_command" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_needs_command" -s s -d 'As nginx: the same as the command of that name' -r -f -a "stop\t'Let running requests end, then stop; nginx would cut them off'
quit\t'Let running requests end, then stop'
reload\t'Put the configuration in use as it now is'
reopen\t'Open the access log again'"
complete -c sluice -n "__fish_sluice_needs_command" -s t -d 'As nginx: the same as `check`'
complete -c sluice -n "__fish_sluice_needs_command" -s T -d 'As nginx: the same as `check -T`'
complete -c sluice -n "__fish_sluice_needs_command" -s v -l version -d 'The same as `version`'
complete -c sluice -n "__fish_sluice_needs_command" -s V -d 'The same as `version --build`'
complete -c sluice -n "__fish_sluice_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "run" -d 'Serve until told to stop: HUP reloads, USR1 reopens the access log, USR2 upgrades, TERM and INT drain and stop'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "check" -d 'Tell everything that is wrong with a configuration'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "reload" -d 'Put the configuration in use as it now is, without dropping a request'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "apply" -d 'Put the configuration of a file in use, watch it, and go back by itself'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "purge" -d 'Throw answers out of the caches, by what they are for or by tag'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "diff" -d 'Tell what a reload would change, and which logged requests would be served differently'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "explain" -d 'Tell what the running gateway would do with a request right now, step by step, and why; nothing is sent or counted'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "log" -d 'Show the lines of the access log that match a query, those to come too'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "reopen" -d 'Open the access log again, after it was renamed'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "server" -d 'Tell a server of an upstream to drain, go down or come up, or give it another weight, until the next start'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "status" -d 'Show listeners, certificates, upstream servers, caches, the last reload and the last apply'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "top" -d 'Show requests, latencies, servers, caches and limits as they are right now'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "upgrade" -d 'Hand the sockets to the binary as it now is, without dropping a request, and let this one\'s requests end'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "stop" -d 'Take no more connections, let running requests end, and stop'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "import" -d 'Translate a configuration of nginx, and tell of each directive what became of it'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "simulate" -d 'Tell from an access log how something else would have done'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "hash-password" -d 'Print the line of a user for the users_file of basic authentication'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "schema" -d 'Print the JSON Schema of the configuration, for editors'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "completions" -d 'Print what makes a shell complete these words'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "man" -d 'Print the manual\'s first page, or write all pages to a folder'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "version" -d 'Print the version'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "file-server" -d 'Serve a folder; needs no configuration'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "reverse-proxy" -d 'Pass everything on to one or more servers; needs no configuration'
complete -c sluice -n "__fish_sluice_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sluice -n "__fish_sluice_using_subcommand run" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand run" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand run" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand check" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand check" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand check" -s T -d 'Print the configuration as it was understood, with every default'
complete -c sluice -n "__fish_sluice_using_subcommand check" -l json -d 'Print {"ok": …, "problems": […]} instead'
complete -c sluice -n "__fish_sluice_using_subcommand check" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand reload" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand reload" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand reload" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand reload" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand reload" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand reload" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand apply" -l guard -d 'Watch it for so long, and go back if a condition holds' -r
complete -c sluice -n "__fish_sluice_using_subcommand apply" -l rollback-if -d 'What makes it go back, separated by commas [default: 5xx>2x,p95>3x]' -r
complete -c sluice -n "__fish_sluice_using_subcommand apply" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand apply" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand apply" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand apply" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand apply" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand apply" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l url -d 'All answers kept for this URL, whatever else they were chosen by' -r
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l tag -d 'All answers an origin has given this tag, in Cache-Tag, Surrogate-Key or Cache-Groups' -r
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l prefix -d 'All answers kept for this URL and those below it' -r
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l host -d 'All answers kept for this host' -r
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand purge" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l all -d 'All answers of all caches'
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l soft -d 'Mark them stale instead: still of use while a newer one is fetched, or when the origin fails'
complete -c sluice -n "__fish_sluice_using_subcommand purge" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand purge" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand diff" -l replay -d 'An access log in JSON, plain or gzip: each of its requests is routed by both; it has no headers' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand diff" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand diff" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand diff" -l json -d 'Print {"different": …, "changes": {…}, "replay": {…}} instead'
complete -c sluice -n "__fish_sluice_using_subcommand diff" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand explain" -s H -l header -d 'A header that goes with it; may be given several times' -r
complete -c sluice -n "__fish_sluice_using_subcommand explain" -l from -d 'The address it comes from [default: 127.0.0.1]' -r
complete -c sluice -n "__fish_sluice_using_subcommand explain" -l listener -d 'The listener it comes in by, by name [default: the one that scheme and port lead to]' -r
complete -c sluice -n "__fish_sluice_using_subcommand explain" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand explain" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand explain" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand explain" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand explain" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand explain" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand log" -s q -l query -d 'Which lines; all without one' -r
complete -c sluice -n "__fish_sluice_using_subcommand log" -s f -l file -d 'The log, plain or gzip; - is stdin [default: stdin if something is piped in, else the configuration\'s]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand log" -l last -d 'Only the last lines that match' -r
complete -c sluice -n "__fish_sluice_using_subcommand log" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand log" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand log" -l follow -d 'Wait for lines to come, also when the file is rotated; those that are there are passed over, but for --last'
complete -c sluice -n "__fish_sluice_using_subcommand log" -l json -d 'Print the lines as they are'
complete -c sluice -n "__fish_sluice_using_subcommand log" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand reopen" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand reopen" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand reopen" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand reopen" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand reopen" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand reopen" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand server" -l state -d 'What is wanted of it' -r -f -a "up\t'Serve, if its health allows'
drain\t'No new clients; those bound to it by a cookie stay'
down\t'No requests; running ones end by themselves'"
complete -c sluice -n "__fish_sluice_using_subcommand server" -l weight -d 'What replaces the configured weight' -r
complete -c sluice -n "__fish_sluice_using_subcommand server" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand server" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand server" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand server" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand server" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand server" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sluice -n "__fish_sluice_using_subcommand status" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand status" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand status" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand status" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand status" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand status" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand top" -l interval -d 'Between two looks at the gateway' -r
complete -c sluice -n "__fish_sluice_using_subcommand top" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand top" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand top" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand top" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand top" -l once -d 'Print one report, of the first interval'
complete -c sluice -n "__fish_sluice_using_subcommand top" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand top" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -l if-changed -d 'Reload instead if the binary is the one that runs'
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand upgrade" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand stop" -l admin -d 'The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]' -r
complete -c sluice -n "__fish_sluice_using_subcommand stop" -l token-file -d 'Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration\'s token_file]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand stop" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand stop" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand stop" -l json -d 'Print the gateway\'s JSON instead'
complete -c sluice -n "__fish_sluice_using_subcommand stop" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand import" -s o -l output -d 'Write the translation there; a file that is there already is left alone' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand import" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand import" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand import" -l all -d 'Tell also what was translated without more to say'
complete -c sluice -n "__fish_sluice_using_subcommand import" -l json -d 'Print {"toml": …, "counts": {…}, "directives": […], "problems": […]} instead'
complete -c sluice -n "__fish_sluice_using_subcommand import" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and not __fish_seen_subcommand_from cache help" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and not __fish_seen_subcommand_from cache help" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and not __fish_seen_subcommand_from cache help" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and not __fish_seen_subcommand_from cache help" -f -a "cache" -d 'Replay the requests of an access log through caches of several sizes, and print their hit ratios'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and not __fish_seen_subcommand_from cache help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -l memory -d 'The sizes to try' -r
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -l max-object -d 'Larger answers are not kept [default: none are too large but for the cache itself]' -r
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -s q -l query -d 'Only the lines that match, as in `sluice log`' -r
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -l json -d 'Print {"log": {…}, "sizes": […]} instead'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from cache" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from help" -f -a "cache" -d 'Replay the requests of an access log through caches of several sizes, and print their hit ratios'
complete -c sluice -n "__fish_sluice_using_subcommand simulate; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sluice -n "__fish_sluice_using_subcommand hash-password" -s u -l user -d 'Whose it is [default: the hash is printed alone]' -r
complete -c sluice -n "__fish_sluice_using_subcommand hash-password" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand hash-password" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand hash-password" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand schema" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand schema" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand schema" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand completions" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand completions" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand completions" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand man" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand man" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand man" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand version" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand version" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand version" -l build -d 'And how it was built'
complete -c sluice -n "__fish_sluice_using_subcommand version" -l json -d 'Print the same as JSON'
complete -c sluice -n "__fish_sluice_using_subcommand version" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand file-server" -l listen -d 'Where to listen' -r
complete -c sluice -n "__fish_sluice_using_subcommand file-server" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand file-server" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand file-server" -l browse -d 'List folders that have no index.html'
complete -c sluice -n "__fish_sluice_using_subcommand file-server" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand reverse-proxy" -l from -d 'Where to listen' -r
complete -c sluice -n "__fish_sluice_using_subcommand reverse-proxy" -l to -d 'Where requests go; more than one share them by least connections' -r
complete -c sluice -n "__fish_sluice_using_subcommand reverse-proxy" -s c -l config -d 'The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]' -r -F
complete -c sluice -n "__fish_sluice_using_subcommand reverse-proxy" -l log-level -d 'What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]' -r
complete -c sluice -n "__fish_sluice_using_subcommand reverse-proxy" -s h -l help -d 'Print help'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "run" -d 'Serve until told to stop: HUP reloads, USR1 reopens the access log, USR2 upgrades, TERM and INT drain and stop'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "check" -d 'Tell everything that is wrong with a configuration'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "reload" -d 'Put the configuration in use as it now is, without dropping a request'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "apply" -d 'Put the configuration of a file in use, watch it, and go back by itself'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "purge" -d 'Throw answers out of the caches, by what they are for or by tag'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "diff" -d 'Tell what a reload would change, and which logged requests would be served differently'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "explain" -d 'Tell what the running gateway would do with a request right now, step by step, and why; nothing is sent or counted'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "log" -d 'Show the lines of the access log that match a query, those to come too'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "reopen" -d 'Open the access log again, after it was renamed'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "server" -d 'Tell a server of an upstream to drain, go down or come up, or give it another weight, until the next start'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "status" -d 'Show listeners, certificates, upstream servers, caches, the last reload and the last apply'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "top" -d 'Show requests, latencies, servers, caches and limits as they are right now'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "upgrade" -d 'Hand the sockets to the binary as it now is, without dropping a request, and let this one\'s requests end'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "stop" -d 'Take no more connections, let running requests end, and stop'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "import" -d 'Translate a configuration of nginx, and tell of each directive what became of it'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "simulate" -d 'Tell from an access log how something else would have done'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "hash-password" -d 'Print the line of a user for the users_file of basic authentication'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "schema" -d 'Print the JSON Schema of the configuration, for editors'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "completions" -d 'Print what makes a shell complete these words'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "man" -d 'Print the manual\'s first page, or write all pages to a folder'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "version" -d 'Print the version'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "file-server" -d 'Serve a folder; needs no configuration'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "reverse-proxy" -d 'Pass everything on to one or more servers; needs no configuration'
complete -c sluice -n "__fish_sluice_using_subcommand help; and not __fish_seen_subcommand_from run check reload apply purge diff explain log reopen server status top upgrade stop import simulate hash-password schema completions man version file-server reverse-proxy help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sluice -n "__fish_sluice_using_subcommand help; and __fish_seen_subcommand_from simulate" -f -a "cache" -d 'Replay the requests of an access log through caches of several sizes, and print their hit ratios'
