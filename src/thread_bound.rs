//! Advice in the compiler's error for programs that move a loop or a handle to another thread.
//!
//! Loops and handles hold `Rc`s, so they are neither `Send` nor `Sync` as it is. But "`Rc<Core>` cannot be sent between
//! threads" tells nobody what to do. The marker has the compiler also say "`*const UseRemote` cannot
//! be sent between threads": the type's name is the advice.

use std::marker::PhantomData;

/// A field without a size that keeps its owner on its thread; the compiler's error names `Advice`.
pub(crate) type ThreadBound<Advice> = PhantomData<*const Advice>;

/// Other threads reach the loop by [`EventLoop::remote`](crate::EventLoop::remote).
pub(crate) struct UseRemote;

/// Other threads keep the [`TransportId`](crate::TransportId), and ask the loop for the handle inside
/// [`Remote::call_soon_threadsafe`](crate::Remote::call_soon_threadsafe).
pub(crate) struct UseRemoteAndTransportId;

/// A result of another thread comes by [`EventLoop::run_in_executor`](crate::EventLoop::run_in_executor),
/// or by a channel whose receiver the loop awaits.
pub(crate) struct UseRunInExecutorOrAChannel;

/// Other threads have the [`RemoteSender`](crate::RemoteSender).
pub(crate) struct UseRemoteSender;
