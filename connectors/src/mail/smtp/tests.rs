//! Tests of the phases of a hand-over, against a server that breaks off at each of them, or falls silent.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use soloist_kernel::{
    id::{EffectId, EffectName, OperationName, RunId, StepName},
    payload::Payload,
    time::Timestamp,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream},
    net::TcpListener,
    time::Instant,
};

use super::*;
use crate::{
    Connector, Env, Intent,
    mail::{MailConfig, MailConnector, OutgoingConfig},
    net::Connecting,
};

/// What the server does at one point of the conversation.
#[derive(Clone, Copy)]
enum Reply {
    Say(&'static str),
    /// Closes the connection without a word.
    Drop,
    /// Leaves the connection open without a word, until the other side closes it.
    Hang,
}
use Reply::{Drop, Hang, Say};

/// A mail server that follows a script.
#[derive(Clone, Copy)]
struct Script {
    greeting: Reply,
    ehlo: Reply,
    auth: Reply,
    mail: Reply,
    rcpt: Reply,
    data: Reply,
    content: Reply,
    quit: Reply,
}

const ACCEPTING: Script = Script {
    greeting: Say("220 test"),
    ehlo: Say("250-test\r\n250 AUTH PLAIN"),
    auth: Say("235 ok"),
    mail: Say("250 ok"),
    rcpt: Say("250 ok"),
    data: Say("354 go on"),
    content: Say("250 2.0.0 queued as 7"),
    quit: Say("221 bye"),
};

/// What the server was told.
type Heard = Arc<Mutex<Vec<String>>>;

impl Script {
    /// Follows the script on one connection, and keeps what it hears.
    async fn serve(self, stream: impl Stream, heard: Heard) -> Option<()> {
        let mut stream = BufReader::new(stream);
        self.greeting.give(&mut stream).await?;
        loop {
            let line = hear(&mut stream, &heard).await?;
            let reply = match line.get(..4)?.to_ascii_uppercase().as_str() {
                "EHLO" => self.ehlo,
                "AUTH" => self.auth,
                "MAIL" => self.mail,
                "RCPT" => self.rcpt,
                "DATA" => self.data,
                _ => self.quit,
            };
            reply.give(&mut stream).await?;
            if line == "DATA" && matches!(reply, Say(text) if text.starts_with("354")) {
                while hear(&mut stream, &heard).await? != "." {}
                self.content.give(&mut stream).await?;
            }
        }
    }
}

impl Reply {
    async fn give(self, stream: &mut BufReader<impl Stream>) -> Option<()> {
        match self {
            Say(text) => stream.write_all(format!("{text}\r\n").as_bytes()).await.ok(),
            Drop => None,
            Hang => {
                stream.read_to_end(&mut Vec::new()).await.ok();
                None
            }
        }
    }
}

async fn hear(stream: &mut BufReader<impl Stream>, heard: &Heard) -> Option<String> {
    let mut line = String::new();
    let bytes = stream.read_line(&mut line).await.ok()?;
    let line = line.trim_end_matches("\r\n").to_owned();
    heard.lock().unwrap().push(line.clone());
    (bytes > 0).then_some(line)
}

fn config(port: u16) -> SmtpConfig {
    SmtpConfig { tls: Tls::None, ..SmtpConfig::new("127.0.0.1", port) }
}

fn connector(smtp: SmtpConfig) -> MailConnector {
    MailConnector::new(MailConfig {
        from: "Studio <studio@kestrel.example>".to_owned(),
        source: None,
        outgoing: OutgoingConfig::Smtp(smtp),
    })
    .unwrap()
}

fn intent() -> Intent {
    let effect = EffectId {
        run: RunId::new("mail-1").unwrap(),
        step: StepName::new("answer").unwrap(),
        name: EffectName::new("send").unwrap(),
        occurrence: 0,
    };
    let arguments = json!({"to": "mara@bakery.example", "subject": "s", "text": ".\nbody"});
    Intent {
        operation: OperationName::new("send").unwrap(),
        arguments: Payload::of(&arguments).unwrap(),
        key: effect.key(),
        at: Timestamp(0),
    }
}

/// Sends one mail to a server that follows `script`.
async fn send(
    script: Script,
    adjust: impl FnOnce(&mut SmtpConfig),
) -> (Result<Payload, Fault>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(listener.local_addr().unwrap().port());
    adjust(&mut config);
    let connector = connector(config);
    let plan = connector.plan(&intent()).unwrap();
    let heard = Heard::default();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        script.serve(stream, heard.clone()).await
    };
    let env = Env::real([0; 32]);
    let (receipt, _) = tokio::join!(connector.execute(&env, &plan, 1), server);
    let heard = heard.lock().unwrap().clone();
    (receipt, heard)
}

#[track_caller]
fn check(result: (Result<Payload, Fault>, Vec<String>), class: FaultClass, phase: Phase) {
    let fault = result.0.unwrap_err();
    assert_eq!((fault.class, fault.phase), (class, phase), "{fault}");
}

#[tokio::test]
async fn an_accepted_mail_has_a_receipt() {
    let (receipt, heard) = send(ACCEPTING, |_| ()).await;
    let receipt: Value = receipt.unwrap().parse().unwrap();
    assert_eq!(receipt["server_answer"], "250 2.0.0 queued as 7");
    let id = format!("<{}@kestrel.example>", intent().key);
    assert_eq!(receipt["message_id"], id);
    assert!(heard.contains(&"MAIL FROM:<studio@kestrel.example>".to_owned()), "{heard:?}");
    assert!(heard.contains(&"RCPT TO:<mara@bakery.example>".to_owned()), "{heard:?}");
    assert!(heard.contains(&format!("Message-ID: {id}")), "{heard:?}");
    assert!(heard.contains(&"..".to_owned()), "a line with a dot alone is doubled: {heard:?}");
}

#[tokio::test]
async fn an_accepted_mail_stays_accepted_whatever_comes_of_the_farewell() {
    for quit in [Drop, Say("500 what"), Say("garbage")] {
        assert!(send(Script { quit, ..ACCEPTING }, |_| ()).await.0.is_ok());
    }
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let refused = |script| send(script, |_| ());
    let greeting = Script { greeting: Say("421 busy"), ..ACCEPTING };
    check(refused(greeting).await, FaultClass::Throttled, Phase::Answered);
    let mail = Script { mail: Say("530 authenticate first"), ..ACCEPTING };
    check(refused(mail).await, FaultClass::Auth, Phase::Answered);
    let rcpt = Script { rcpt: Say("550 no such user"), ..ACCEPTING };
    check(refused(rcpt).await, FaultClass::Declined, Phase::Answered);
    let syntax = Script { rcpt: Say("501 syntax"), ..ACCEPTING };
    check(refused(syntax).await, FaultClass::Invalid, Phase::Answered);
    let content = Script { content: Say("451 later"), ..ACCEPTING };
    check(refused(content).await, FaultClass::Throttled, Phase::Answered);
    let content = Script { content: Say("554 spam"), ..ACCEPTING };
    check(refused(content).await, FaultClass::Declined, Phase::Answered);
}

#[tokio::test]
async fn a_loss_before_the_content_sent_nothing() {
    for script in [
        Script { greeting: Drop, ..ACCEPTING },
        Script { ehlo: Drop, ..ACCEPTING },
        Script { mail: Drop, ..ACCEPTING },
        Script { rcpt: Drop, ..ACCEPTING },
        Script { data: Drop, ..ACCEPTING },
    ] {
        check(send(script, |_| ()).await, FaultClass::Transient, Phase::NotSent);
    }
    let odd = Script { data: Say("250 what"), ..ACCEPTING };
    check(send(odd, |_| ()).await, FaultClass::Bug, Phase::NotSent);
}

#[tokio::test]
async fn a_loss_after_the_content_may_have_sent_it() {
    for content in [Drop, Say("garbage")] {
        let script = Script { content, ..ACCEPTING };
        check(send(script, |_| ()).await, FaultClass::Transient, Phase::MaybeSent);
    }
    let odd = Script { content: Say("354 more"), ..ACCEPTING };
    check(send(odd, |_| ()).await, FaultClass::Bug, Phase::MaybeSent);
}

#[tokio::test]
async fn a_server_that_is_not_there_got_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = connector(config(listener.local_addr().unwrap().port()));
    drop(listener);
    let plan = connector.plan(&intent()).unwrap();
    let fault = connector.execute(&Env::real([0; 32]), &plan, 1).await.unwrap_err();
    assert_eq!((fault.class, fault.phase), (FaultClass::Transient, Phase::NotSent));
}

/// A network with one server on it, which is at the other end of `stream` and can be reached once.
fn network_of(stream: DuplexStream) -> impl Fn(&str, u16) -> Connecting + Send + Sync {
    let stream = Mutex::new(Some(stream));
    move |host: &str, port: u16| -> Connecting {
        assert_eq!((host, port), ("mail.example", 25));
        let stream = stream.lock().unwrap().take();
        Box::pin(async move {
            let stream = stream.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Sends one mail without a socket, on a clock that jumps. Returns how long it took, too.
async fn send_in_memory(script: Script) -> (Result<Payload, Fault>, Vec<String>, Duration) {
    // Shorter than many a line, so that both sides wait for each other in the middle of one.
    let (near, far) = tokio::io::duplex(16);
    let env = Env::real([0; 32]).with_network(network_of(near));
    let connector = connector(SmtpConfig { tls: Tls::None, ..SmtpConfig::new("mail.example", 25) });
    let plan = connector.plan(&intent()).unwrap();
    let heard = Heard::default();
    let start = Instant::now();
    let server = script.serve(far, heard.clone());
    let (receipt, _) = tokio::join!(connector.execute(&env, &plan, 1), server);
    let heard = heard.lock().unwrap().clone();
    (receipt, heard, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_mail_goes_out_over_any_network() {
    let (receipt, heard, took) = send_in_memory(ACCEPTING).await;
    let receipt: Value = receipt.unwrap().parse().unwrap();
    assert_eq!(receipt["server_answer"], "250 2.0.0 queued as 7");
    assert!(heard.contains(&"RCPT TO:<mara@bakery.example>".to_owned()), "{heard:?}");
    assert!(heard.contains(&"QUIT".to_owned()), "{heard:?}");
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_given_up_in_time() {
    let in_command = COMMAND_TIMEOUT + QUIT_TIMEOUT;
    for (script, phase, limit) in [
        (Script { greeting: Hang, ..ACCEPTING }, Phase::NotSent, CONNECT_TIMEOUT),
        (Script { ehlo: Hang, ..ACCEPTING }, Phase::NotSent, CONNECT_TIMEOUT),
        (Script { mail: Hang, ..ACCEPTING }, Phase::NotSent, in_command),
        (Script { data: Hang, ..ACCEPTING }, Phase::NotSent, in_command),
        (Script { content: Hang, ..ACCEPTING }, Phase::MaybeSent, CONTENT_TIMEOUT + QUIT_TIMEOUT),
    ] {
        let (receipt, heard, took) = send_in_memory(script).await;
        check((receipt, heard), FaultClass::Deadline, phase);
        // The clock's timers are as fine as a millisecond.
        assert!(took >= limit && took < limit + Duration::from_millis(5), "{took:?} of {limit:?}");
    }
    let (receipt, _, took) = send_in_memory(Script { quit: Hang, ..ACCEPTING }).await;
    assert!(receipt.is_ok() && took < QUIT_TIMEOUT + Duration::from_millis(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_network_without_a_way_got_nothing() {
    use io::ErrorKind::{HostUnreachable, TimedOut};
    let connector = connector(SmtpConfig { tls: Tls::None, ..SmtpConfig::new("mail.example", 25) });
    let plan = connector.plan(&intent()).unwrap();
    for (kind, class) in [
        (Some(HostUnreachable), FaultClass::Transient),
        (Some(TimedOut), FaultClass::Deadline),
        (None, FaultClass::Deadline),
    ] {
        let network = move |_: &str, _: u16| -> Connecting {
            Box::pin(async move {
                match kind {
                    Some(kind) => Err(kind.into()),
                    None => std::future::pending().await,
                }
            })
        };
        let env = Env::real([0; 32]).with_network(network);
        let fault = connector.execute(&env, &plan, 1).await.unwrap_err();
        assert_eq!((fault.class, fault.phase), (class, Phase::NotSent), "{fault}");
    }
}

#[tokio::test]
async fn credentials_are_used_and_a_wrong_one_is_an_answer() {
    let with_user = |config: &mut SmtpConfig| {
        config.user = Some("studio".to_owned());
        config.password = Some(Password::new("secret"));
    };
    let (receipt, heard) = send(ACCEPTING, with_user).await;
    assert!(receipt.is_ok() && heard.iter().any(|line| line.starts_with("AUTH PLAIN")));
    let wrong = Script { auth: Say("535 no"), ..ACCEPTING };
    check(send(wrong, with_user).await, FaultClass::Auth, Phase::Answered);
    let without = Script { ehlo: Say("250 test"), ..ACCEPTING };
    check(send(without, with_user).await, FaultClass::Auth, Phase::NotSent);
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_where_starttls_is_configured() {
    let result = send(ACCEPTING, |config| config.tls = Tls::Starttls).await;
    assert!(!result.1.iter().any(|line| line.starts_with("MAIL")), "{:?}", result.1);
    check(result, FaultClass::Declined, Phase::NotSent);
}

#[test]
fn a_configuration_that_cannot_work_names_its_key() {
    let key = |adjust: fn(&mut SmtpConfig)| {
        let mut config = config(25);
        adjust(&mut config);
        Smtp::new(config).unwrap_err().key
    };
    assert_eq!(key(|config| config.host = String::new()), "mail.smtp.host");
    assert_eq!(key(|config| config.hello = "a\r\nQUIT".to_owned()), "mail.smtp.hello");
    assert_eq!(key(|config| config.user = Some("u".to_owned())), "mail.smtp.user");
    assert_eq!(key(|config| config.burst = 0), "mail.smtp.per_second");
    let remote = |config: &mut SmtpConfig| {
        config.host = "mail.example".to_owned();
        config.user = Some("u".to_owned());
        config.password = Some(Password::new("p"));
    };
    assert_eq!(key(remote), "mail.smtp.tls");
}

#[test]
fn a_password_is_never_shown() {
    let config = SmtpConfig {
        user: Some("u".to_owned()),
        password: Some(Password::new("hunter2")),
        ..SmtpConfig::new("mail.example", 465)
    };
    let smtp = Smtp::new(config.clone()).unwrap();
    assert!(!format!("{config:?} {smtp:?} {smtp}").contains("hunter2"));
}
