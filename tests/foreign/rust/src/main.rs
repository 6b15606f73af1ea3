//! tungstenite: sends each message in two fragments, closes with 1000.
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Message, WebSocket};

type Link = WebSocket<std::net::TcpStream>;

fn send(link: &mut Link, text: &str) {
    let (head, tail) = text.as_bytes().split_at(5);
    let parts = [(head, Data::Text, false), (tail, Data::Continue, true)];
    for (part, kind, last) in parts {
        let frame = Frame::message(part.to_vec(), OpCode::Data(kind), last);
        link.send(Message::Frame(frame)).expect("sent");
    }
}

fn field(frame: &str, name: &str) -> Option<String> {
    let start = frame.find(&format!("\"{name}\":\""))? + name.len() + 4;
    Some(frame[start..].split('"').next()?.to_string())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mut request = arguments[1].as_str().into_client_request().expect("an address");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "x, match.v1".parse().unwrap());
    let uri = request.uri().clone();
    let tcp = std::net::TcpStream::connect((uri.host().unwrap(), uri.port_u16().unwrap())).expect("a node");
    let (mut link, response) = tungstenite::client(request, tcp).expect("a handshake");
    let subprotocol = response.headers()["Sec-WebSocket-Protocol"].to_str().unwrap().to_string();
    let player = &arguments[2];
    send(&mut link, &format!(r#"{{"type":"enqueue","player_id":"{player}","game_mode":"Normal_1v1"}}"#));
    let mut session = String::new();
    loop {
        match link.read() {
            Ok(Message::Text(text)) => match field(&text, "type").as_deref() {
                Some("start_loading") => {
                    let id = field(&text, "loading_session_id").expect("an id");
                    send(&mut link, &format!(r#"{{"type":"loading_complete","loading_session_id":"{id}"}}"#));
                }
                Some("match_found") => {
                    session = field(&text, "session_id").expect("an id");
                    link.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).expect("closed");
                }
                _ => {}
            },
            Ok(Message::Close(Some(frame))) => {
                let code = u16::from(frame.code);
                println!(r#"{{"session_id":"{session}","code":{code},"subprotocol":"{subprotocol}"}}"#);
            }
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
