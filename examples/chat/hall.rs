//! Who is there, and in which room: what all members share.

use std::collections::{BTreeMap, BTreeSet};

use wharf::bytes::Bytes;
use wharf::{Transport, TransportHandle, TransportId};

/// The rooms and everybody in them.
///
/// Its methods write to many connections while it is borrowed. That is safe, because no method of a
/// transport ever calls a protocol: a member who turns out to be too slow is told of it later.
#[derive(Default)]
pub(crate) struct Hall {
    guests: BTreeMap<TransportId, Guest>,
    /// A room is there as long as somebody is in it.
    rooms: BTreeMap<String, BTreeSet<TransportId>>,
    /// In lower case: `Ann` and `ann` would be hard to tell apart.
    nicknames: BTreeSet<String>,
    welcomed: u64,
}

struct Guest {
    nickname: String,
    room: String,
    ear: Box<dyn Ear>,
}

/// How a member hears what is said.
pub(crate) trait Ear {
    /// Hears one line, or several: each ends with a line end.
    fn hear(&self, line: &Bytes);
}

impl Ear for TransportHandle {
    fn hear(&self, line: &Bytes) {
        self.write_bytes(line.clone());
    }
}

/// Where everybody begins.
const LOBBY: &str = "lobby";

impl Hall {
    /// Takes somebody in, with a nickname that is free.
    pub(crate) fn enter(&mut self, id: TransportId, ear: Box<dyn Ear>) {
        let nickname = loop {
            self.welcomed += 1;
            let nickname = format!("guest-{}", self.welcomed);
            if self.nicknames.insert(nickname.clone()) {
                break nickname;
            }
        };
        tell(&*ear, &format!("* welcome, {nickname}; /help lists the commands"));
        let guest = Guest { nickname, room: LOBBY.to_owned(), ear };
        self.guests.insert(id, guest);
        self.take_place(id);
    }

    /// Forgets somebody who is gone.
    pub(crate) fn leave(&mut self, id: TransportId, reason: &str) {
        self.give_up_place(id, reason);
        if let Some(guest) = self.guests.remove(&id) {
            self.nicknames.remove(&guest.nickname.to_lowercase());
        }
    }

    /// Says `text` to everybody in the room but the one who says it.
    pub(crate) fn say(&self, id: TransportId, text: &str) {
        let Some(guest) = self.guests.get(&id) else { return };
        self.tell_room(&guest.room, Some(id), &format!("<{}> {text}", guest.nickname));
    }

    pub(crate) fn rename(&mut self, id: TransportId, nickname: &str) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        let (before, after) = (guest.nickname.to_lowercase(), nickname.to_lowercase());
        if before != after {
            if !self.nicknames.insert(after) {
                return tell(&*guest.ear, &format!("! somebody is called {nickname} already"));
            }
            self.nicknames.remove(&before);
        }
        let former = std::mem::replace(&mut guest.nickname, nickname.to_owned());
        let room = guest.room.clone();
        self.tell_room(&room, None, &format!("* {former} is now {nickname}"));
    }

    pub(crate) fn join(&mut self, id: TransportId, room: &str) {
        if self.guests.get(&id).is_none_or(|guest| guest.room == room) {
            return;
        }
        self.give_up_place(id, &format!("went to {room}"));
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.room = room.to_owned();
        }
        self.take_place(id);
    }

    /// The rooms, each with the number of people in it.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = (&str, usize)> {
        self.rooms.iter().map(|(name, members)| (name.as_str(), members.len()))
    }

    /// The nicknames of everybody in somebody's room.
    pub(crate) fn room_mates(&self, id: TransportId) -> impl Iterator<Item = &str> {
        let room = self.guests.get(&id).and_then(|guest| self.rooms.get(&guest.room));
        room.into_iter().flatten().map(|id| self.guests[id].nickname.as_str())
    }

    fn take_place(&mut self, id: TransportId) {
        let Some(Guest { nickname, room, .. }) = self.guests.get(&id) else { return };
        self.rooms.entry(room.clone()).or_default().insert(id);
        self.tell_room(room, None, &format!("* {nickname} joined {room}"));
    }

    fn give_up_place(&mut self, id: TransportId, reason: &str) {
        let Some(Guest { nickname, room, .. }) = self.guests.get(&id) else { return };
        let Some(members) = self.rooms.get_mut(room) else { return };
        members.remove(&id);
        if members.is_empty() {
            self.rooms.remove(room);
        } else {
            self.tell_room(room, None, &format!("* {nickname} left {room} ({reason})"));
        }
    }

    /// Writes one line to everybody in a room, from one piece of memory.
    fn tell_room(&self, room: &str, except: Option<TransportId>, line: &str) {
        let line = Bytes::from(format!("{line}\n"));
        for id in self.rooms.get(room).into_iter().flatten() {
            if Some(*id) != except {
                self.guests[id].ear.hear(&line);
            }
        }
    }
}

/// Writes one line to one member.
pub(crate) fn tell(ear: &dyn Ear, line: &str) {
    ear.hear(&Bytes::from(format!("{line}\n")));
}
