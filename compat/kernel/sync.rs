// SPDX-License-Identifier: GPL-2.0

//! What processors share.

/// Atomic variables.
pub mod atomic {
    use core::{
        cell::UnsafeCell,
        sync::atomic::{
            AtomicU32,
            AtomicU64,
            Ordering, //
        },
    };

    /// No order with regard to other accesses.
    pub struct Relaxed;

    /// A variable that processors may read and write at the same time.
    #[repr(transparent)]
    pub struct Atomic<T: AtomicType>(UnsafeCell<T>);

    // SAFETY: all accesses are atomic: `AtomicType` has no other.
    unsafe impl<T: AtomicType> Sync for Atomic<T> {}

    /// A type that processors read and write in one piece.
    pub trait AtomicType: Copy {
        #[doc(hidden)]
        fn load(variable: &Atomic<Self>) -> Self;
        #[doc(hidden)]
        fn store(variable: &Atomic<Self>, value: Self);
        #[doc(hidden)]
        fn cmpxchg(variable: &Atomic<Self>, old: Self, new: Self) -> Result<Self, Self>;
    }

    impl<T: AtomicType> Atomic<T> {
        /// A variable with this value.
        #[inline(always)]
        pub const fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }

        /// Reads the value.
        #[inline(always)]
        pub fn load(&self, _: Relaxed) -> T {
            T::load(self)
        }

        /// Writes the value.
        #[inline(always)]
        pub fn store(&self, value: T, _: Relaxed) {
            T::store(self, value);
        }

        /// Writes `new` if the value is `old`. Returns what the value was, as an error if that was another.
        #[inline(always)]
        pub fn cmpxchg(&self, old: T, new: T, _: Relaxed) -> Result<T, T> {
            T::cmpxchg(self, old, new)
        }
    }

    macro_rules! atomic_type {
        ($type:ty, $atomic:ident) => {
            const _: () = {
                assert!(align_of::<$type>() == align_of::<$atomic>());

                #[inline(always)]
                fn as_atomic(variable: &Atomic<$type>) -> &$atomic {
                    // SAFETY: the variable lives as long as the reference to it and has the
                    // alignment of `$atomic`, as asserted above; all accesses to it are atomic.
                    unsafe { $atomic::from_ptr(variable.0.get()) }
                }

                impl AtomicType for $type {
                    #[inline(always)]
                    fn load(variable: &Atomic<Self>) -> Self {
                        as_atomic(variable).load(Ordering::Relaxed)
                    }

                    #[inline(always)]
                    fn store(variable: &Atomic<Self>, value: Self) {
                        as_atomic(variable).store(value, Ordering::Relaxed);
                    }

                    #[inline(always)]
                    fn cmpxchg(
                        variable: &Atomic<Self>,
                        old: Self,
                        new: Self,
                    ) -> Result<Self, Self> {
                        as_atomic(variable).compare_exchange(
                            old,
                            new,
                            Ordering::Relaxed,
                            Ordering::Relaxed,
                        )
                    }
                }
            };
        };
    }
    atomic_type!(u32, AtomicU32);
    atomic_type!(u64, AtomicU64);
}
