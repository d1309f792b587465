// SPDX-License-Identifier: GPL-2.0

//! Clients of the tarpit on smoltcp: `smoltcp-clients TUN ADDRESS SERVER PORT SECONDS`.
//!
//! All of them live on one TUN interface for so many seconds. Then each gives one line: its port, what it
//! does, and after how many seconds its connection was gone, or `-` if it is still there.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{wait, Medium, TunTapInterface};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Address};
use std::env;
use std::error::Error;
use std::os::fd::AsRawFd;

/// What a client does once it is connected.
struct Plan {
    name: &'static str,
    /// It writes so many bytes.
    write: usize,
    /// And closes.
    close: bool,
    /// A keep-alive every 60 s, and a time limit of 150 s for the peer to say something.
    keep_alive: bool,
}

const fn plan(name: &'static str, write: usize, close: bool, keep_alive: bool) -> Plan {
    Plan {
        name,
        write,
        close,
        keep_alive,
    }
}

const PLANS: [Plan; 7] = [
    plan("connected and waits", 0, false, false),
    plan("wrote 200 bytes and waits", 200, false, false),
    plan("wrote 200 bytes and closed", 200, true, false),
    plan("closed at once", 0, true, false),
    plan("connected and waits, keep-alive", 0, false, true),
    plan("wrote 200 bytes and waits, keep-alive", 200, false, true),
    plan("wrote 200 bytes and closed, keep-alive", 200, true, true),
];

const FIRST_PORT: u16 = 10001;

struct Client {
    plan: &'static Plan,
    port: u16,
    timestamps: bool,
    handle: SocketHandle,
    started: bool,
    gone: Option<Instant>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [tun, address, server, port, seconds] = args.as_slice() else {
        return Err("usage: smoltcp-clients TUN ADDRESS SERVER PORT SECONDS".into());
    };
    let address: Ipv4Address = address.parse()?;
    let server: Ipv4Address = server.parse()?;
    let port: u16 = port.parse()?;

    let mut device = TunTapInterface::new(tun, Medium::Ip)?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds.parse()?);
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = 1;
    let mut iface = Interface::new(config, &mut device, begin);
    let mut full = Ok(());
    iface.update_ip_addrs(|addresses| full = addresses.push(IpCidr::new(address.into(), 24)));
    full.map_err(|_| "no room for an address")?;
    iface.routes_mut().add_default_ipv4_route(server)?;

    let mut sockets = SocketSet::new(vec![]);
    let mut clients = Vec::new();
    for (local, (timestamps, plan)) in (FIRST_PORT..).zip(
        [true, false]
            .into_iter()
            .flat_map(|timestamps| PLANS.iter().map(move |plan| (timestamps, plan))),
    ) {
        let buffer = || tcp::SocketBuffer::new(vec![0; 1500]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        if timestamps {
            socket.set_tsval_generator(Some(milliseconds));
        }
        if plan.keep_alive {
            socket.set_keep_alive(Some(Duration::from_secs(60)));
            socket.set_timeout(Some(Duration::from_secs(150)));
        }
        socket.connect(iface.context(), (server, port), local)?;
        clients.push(Client {
            plan,
            port: local,
            timestamps,
            handle: sockets.add(socket),
            started: false,
            gone: None,
        });
    }

    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        iface.poll(now, &mut device, &mut sockets);
        for client in &mut clients {
            let socket = sockets.get_mut::<tcp::Socket>(client.handle);
            if !client.started && socket.may_send() {
                client.started = true;
                socket.send_slice(&vec![b'x'; client.plan.write])?;
                if client.plan.close {
                    socket.close();
                }
            }
            if client.gone.is_none() && !socket.is_open() {
                client.gone = Some(now);
            }
        }
        let now = Instant::now();
        let delay = iface
            .poll_delay(now, &sockets)
            .map_or(end - now, |delay| delay.min(end - now));
        wait(device.as_raw_fd(), Some(delay))?;
    }

    for client in clients {
        let stamps = if client.timestamps { "" } else { "no " };
        let gone = client.gone.map_or("-".to_owned(), |gone| {
            (gone - begin).total_millis().div_ceil(1000).to_string()
        });
        println!(
            "{}\t{}, {stamps}timestamps\t{gone}",
            client.port, client.plan.name
        );
    }
    Ok(())
}

/// The clock of the timestamps.
fn milliseconds() -> u32 {
    // CAST: modulo 2^32 is what is meant.
    Instant::now().total_millis() as u32
}
