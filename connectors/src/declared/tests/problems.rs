//! Declarations that are wrong, and what is said of them.

use expect_test::{Expect, expect};

use super::{Declared, post, small};

#[track_caller]
fn check(text: &str, expected: Expect) {
    let problems = Declared::parse("x.toml", text).expect_err("the declaration is wrong");
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    expected.assert_eq(&problems.join("\n"));
}

#[test]
fn what_is_no_toml_is_shown_by_its_line() {
    check(
        "name = 'x'\nbase = ",
        expect![
            "x.toml: line 2: string values must be quoted, expected literal string; see `docs/connectors.md` for what a declaration holds"
        ],
    );
    check(
        &format!("# {}", "x".repeat(300_000)),
        expect![
            "x.toml: it has 300002 bytes and the limit is 262144; split it into several connectors"
        ],
    );
}

#[test]
fn an_empty_declaration_is_told_what_it_lacks() {
    check(
        "",
        expect![[r#"
        x.toml, field `name`: it is missing; write what it is mounted as, as in `crm`
        x.toml, field `system`: it is missing; write which system it is, for people
        x.toml, field `base`: it is missing; write the address that every path follows, as in `https://api.example.com/v3`
        x.toml, field `operation`: there is none; write an `[[operation]]`"#]],
    );
}

#[test]
fn every_problem_of_the_head_is_reported_at_once() {
    check(
        "name = 'my crm'\nsystm = 'X'\nbase = 'http://crm.internal/v3'\ntimeout = '20'\nconcurrency_max = 0\n\
         rate = { calls = 'many' }\nreach = ['crm']\ntrust = 'full'\n\
         credential = { bearer = { env = 'A', file = 'b' }, header = { env = 'C' } }\n\
         headers = { Authorization = 'Bearer x', 'x y' = '1', x-a = '{{ arguments.a }}', x-b = 3 }\n\
         answers = [{ class = 'ok' }, { status = 99, when = 'nobody', class = 'fine' }]",
        expect![[r#"
            x.toml, field `name`: connector name "my crm" holds a character that is not allowed; use 1 to 100 of a-z A-Z 0-9 . _ : @ + - and start with a letter or digit; write it as in `crm`
            x.toml, field `system`: it is missing; write which system it is, for people
            x.toml, field `reach`: `crm` is no place to reach: write a server as `host:port`, a network as `10.0.0.0/8`; write a list, as in ["crm.internal:443", "10.0.0.0/8"]
            x.toml, field `base`: plain http would show it to everyone; if it is meant, name it in `reach` as `host:port`; write the address that every path follows, as in `https://api.example.com/v3`
            x.toml, field `timeout`: "20" is not a duration; write a number and a unit: 250ms, 30s, 5m, 2h, 1d, 2w
            x.toml, field `concurrency_max`: it is 0; write a number from 1 to 256
            x.toml, field `rate.calls`: it is a text; write a whole number
            x.toml, field `trust`: "full" is not known; there are `untrusted`, `vetted`, `owner`
            x.toml, field `credential`: it says several; write one of `bearer`, `header`, `basic`, `query`
            x.toml, field `headers.Authorization`: it is not said here; say it in `credential`
            x.toml, field `headers.x y`: invalid HTTP header name; write a header's name
            x.toml, field `headers.x-b`: it is a whole number; write a text
            x.toml, field `headers.x-a`: it is always the same; say it at each operation, in its `headers`
            x.toml, field `answers`: it fits every answer; say by `status` or `when` which it is for
            x.toml, field `answers.status`: 99 is no status; write a status or a list of them, as in [404, 410]
            x.toml, field `answers.class`: "fine" is not known; there are `ok`, `transient`, `throttled`, `auth`, `declined`, `invalid`
            x.toml, field `operation`: there is none; write an `[[operation]]`
            x.toml, field `systm`: there is no such field; did you mean `system`?"#]],
    );
}

#[test]
fn a_base_has_no_query_and_is_within_reach() {
    check(
        &small("").replace("https://x.example/api", "https://x.example/?a=b"),
        expect![[r#"
        x.toml, field `base`: it has a query or a fragment; write the address that every path follows, as in `https://api.example.com/v3`
        x.toml, field `operation`: there is none; write an `[[operation]]`"#]],
    );
    check(
        &small("").replace("https://x.example/api", "https://10.0.0.1/"),
        expect![[r#"
        x.toml, field `base`: 10.0.0.1 is a private address; if it is meant, name it in `reach`; write the address that every path follows, as in `https://api.example.com/v3`
        x.toml, field `operation`: there is none; write an `[[operation]]`"#]],
    );
    check(
        &small("").replace("https://x.example/api", "https://me:pw@x.example/"),
        expect![[r#"
            x.toml, field `base`: a URL must not hold a user or a password; send a header; write the address that every path follows, as in `https://api.example.com/v3`
            x.toml, field `operation`: there is none; write an `[[operation]]`"#]],
    );
}

#[test]
fn every_problem_of_an_operation_is_reported_at_once() {
    check(
        &small(
            "[[operation]]\n[[operation]]\nname = 'a'\nsummary = 3\nkind = 'wirte'\nmethod = 'FETCH'\npath = 'things'\n\
             colour = 'red'\n[operation.arguments]\nid = 'text'\nto = { role = 'target' }\nof = { schema = 'string' }\n",
        ),
        expect![[r#"
            x.toml, operation 1, field `name`: it is missing; write what it is called, as in `create_contact`
            x.toml, operation 1, field `summary`: it is missing; write what it does, for the operator
            x.toml, operation 1, field `kind`: it is missing; write `read`, `write` or `compensate`
            x.toml, operation 1, field `method`: it is missing; write GET, POST, PUT, PATCH or DELETE
            x.toml, operation 1, field `path`: it is missing; write what follows the `base`, as in `/contacts`
            x.toml, operation `a`, field `summary`: it is a whole number; write a text
            x.toml, operation `a`, field `kind`: "wirte" is not known; did you mean `write`?
            x.toml, operation `a`, field `arguments.id`: it is a text; write a table, as in { role = "content" }
            x.toml, operation `a`, field `arguments.of.role`: it is missing; write `routing` if it says where the write goes (a recipient, an amount, a path), else `content`
            x.toml, operation `a`, field `arguments.of.schema`: it is a text; write a JSON Schema, as in { type = "string" }
            x.toml, operation `a`, field `arguments.to.role`: "target" is not known; there are `routing`, `content`
            x.toml, operation `a`, field `method`: "FETCH" is not known; did you mean `PATCH`?
            x.toml, operation `a`, field `path`: a path begins with `/`; write it as in `/contacts/{{ arguments.id }}`"#]],
    );
}

#[test]
fn a_request_is_made_of_what_there_is() {
    check(
        &post(
            "query = { a = '{{ arguments.valeu }}', b = '{{ receipt.id }}' }\njson = { a = '{{ arguments. }}' }",
        ),
        expect![[r#"
            x.toml, operation `make`, field `json`: `a`: `arguments.` is not an expression: syntax error: unexpected end of input, expected identifier or integer; write a table of texts with `{{ … }}` in them
            x.toml, operation `make`, field `query`: "receipt" is not known; there are `arguments`, `key`, `at`
            x.toml, operation `make`, field `query`: "valeu" is not known; did you mean `value`?"#]],
    );
    check(
        &post("json = {}\nform = 'x'\nheaders = { host = 'y' }"),
        expect![[r#"
        x.toml, operation `make`, field `headers.host`: it is not said here; it is the `base`'s
        x.toml, operation `make`, field `form`: there is `json` as well; write one of them"#]],
    );
    check(
        &post("").replace("/things", "/things/{{ arguments.value }}"),
        expect![
            "x.toml, operation `make`, field `arguments.value.role`: it is in the path, and so says where the write goes; write `routing`"
        ],
    );
    check(
        &post("").replace("/things", "/things?a=b"),
        expect![
            "x.toml, operation `make`, field `path`: a query belongs into `query`; write it as in `/contacts/{{ arguments.id }}`"
        ],
    );
    check(
        &post("").replace("/things", "/../{% if a %}"),
        expect![
            "x.toml, operation `make`, field `path`: `{% … %}` is not read here; write `{{ a if b else c }}`; write it as in `/contacts/{{ arguments.id }}`"
        ],
    );
    check(
        &post("").replace("POST", "GET"),
        expect![
            "x.toml, operation `make`, field `method`: it is for what changes nothing; write the method that the system has for it, as in POST"
        ],
    );
}

#[test]
fn semantics_come_with_what_they_need() {
    let with = |semantics: &str, rest: &str| post(rest).replace("'opaque'", semantics);
    let probe = "probe = { method = 'GET', path = '/things', landed = 'status == 200', absent = 'status == 404' }";
    check(
        &with("'sometimes'", ""),
        expect![[
            r#"x.toml, operation `make`, field `semantics`: "sometimes" is not known; write "natural_key", "opaque", { keyed = { header = "Idempotency-Key", ttl = "24h" } }, { conditional = { value = "{{ arguments.etag }}" } } or { searchable = { lag = "30s" } }"#
        ]],
    );
    check(
        &with("3", ""),
        expect![[
            r#"x.toml, operation `make`, field `semantics`: it does not say what an ambiguous answer means; write "natural_key", "opaque", { keyed = { header = "Idempotency-Key", ttl = "24h" } }, { conditional = { value = "{{ arguments.etag }}" } } or { searchable = { lag = "30s" } }"#
        ]],
    );
    check(
        &with("{ keyed = {} }", ""),
        expect![
            "x.toml, operation `make`, field `semantics.keyed.ttl`: it is missing; write how long the system remembers a key"
        ],
    );
    check(
        &with("{ keyed = { ttl = '1d' } }", probe),
        expect![
            "x.toml, operation `make`, field `probe`: a keyed write is made again and not looked for; leave it out"
        ],
    );
    check(
        &with("'natural_key'", ""),
        expect![
            "x.toml, operation `make`, field `probe`: it is missing; write the request that looks for it, and what of its answer says that it landed"
        ],
    );
    check(
        &with("{ conditional = {} }", probe),
        expect![
            "x.toml, operation `make`, field `semantics.conditional.value`: it is missing; write what the header says"
        ],
    );
    check(
        &with("{ searchable = { lag = '1s' } }", ""),
        expect![
            "x.toml, operation `make`, field `probe`: it is missing: nothing searches for the write; write the request that looks for it, and what of its answer says that it landed"
        ],
    );
    check(
        &with("{ searchable = { lag = '1s' } }", probe),
        expect![[r#"
        x.toml, operation `make`, field `semantics`: the record does not hold the key it is to be found by; put {{ key }} into a field of the record that can be searched for
        x.toml, operation `make`, field `probe`: it does not look for the key; search for {{ key }}"#]],
    );
    check(
        &with("'opaque'", probe),
        expect![
            "x.toml, operation `make`, field `probe`: an opaque write cannot be looked for; leave it out, or say by `semantics` what finds it: natural_key or searchable"
        ],
    );
    check(
        &with("'natural_key'", "probe = { method = 'GET', path = '/', landed = 'stauts == 200' }"),
        expect![
            "x.toml, operation `make`, field `probe.absent`: it is missing; write what holds of the answer if it is certainly not there"
        ],
    );
}

#[test]
fn what_takes_back_is_there_and_is_called_as_it_wants() {
    check(
        &post("undo = { operation = 'unmake' }"),
        expect![[
            r#"x.toml, operation `make`, field `undo`: there is no operation `unmake`; declare it, with `kind = "compensate"`"#
        ]],
    );
    check(
        &post(
            "undo = { operation = 'other', arguments = { a = '{{ receipt.a }}', b = '{{ result.b }}' } }\n\
             [[operation]]\nname = 'other'\nsummary = 'Other'\nkind = 'write'\nmethod = 'PUT'\npath = '/'\n\
             semantics = 'opaque'\narguments.a = { role = 'content' }\narguments.c = { role = 'content' }",
        ),
        expect![[r#"
            x.toml, operation `make`, field `undo`: "result" is not known; there are `arguments`, `receipt`
            x.toml, operation `make`, field `undo`: `other` does not compensate; say so there, with `kind = "compensate"`
            x.toml, operation `make`, field `undo`: `other` takes no `b`; leave it out, or declare the argument there
            x.toml, operation `make`, field `undo`: `other` takes `c`, which is not given; write c = "{{ receipt.c }}""#]],
    );
    check(
        &post("undo = 'unmake'\ncounter = 3"),
        expect![[r#"
        x.toml, operation `make`, field `counter`: there is `undo` as well; write one of them
        x.toml, operation `make`, field `undo`: it is a text; write a table
        x.toml, operation `make`, field `counter`: it is a whole number; write a table"#]],
    );
}

#[test]
fn a_read_has_no_semantics_and_a_write_no_pages() {
    check(
        &post("undo = { operation = 'make' }\npages = { items = '/a' }")
            .replace("'write'", "'read'"),
        expect![[r#"
            x.toml, operation `make`, field `semantics`: a read has none; leave it out
            x.toml, operation `make`, field `pages.next`: it does not say how the next page is asked for; write "link" or { query = "after", value = "/paging/next/after" }
            x.toml, operation `make`, field `undo`: a read has nothing to take back; leave it out
            x.toml, operation `make`, field `undo`: `make` does not compensate; say so there, with `kind = "compensate"`"#]],
    );
    check(
        &post("pages = { items = '/a', next = 'link', pages_max = 1000 }"),
        expect![[r#"
        x.toml, operation `make`, field `pages.pages_max`: it is 1000; write a number from 1 to 100
        x.toml, operation `make`, field `pages`: a write has no pages; leave it out"#]],
    );
}

#[test]
fn names_are_given_once() {
    let other = post("");
    let other = &other[other.find("[[").unwrap()..];
    check(
        &format!("{}\n{other}", post("")),
        expect![
            "x.toml, operation `make`, field `name`: there is another one of that name; give it another one"
        ],
    );
}
