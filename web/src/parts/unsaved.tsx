// What was typed and not saved is not lost by going elsewhere within the console, by the
// browser's back button or by closing it: whoever holds something says so, and the user is
// asked before it goes.
import { App } from "antd";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";
import { useBlocker, type Location } from "react-router";
import { useWords } from "../words";

/** Something that is lost when its page goes. */
interface Held {
  what: string;
  /** Whether it is still there after going to an address of the same page. */
  staysAt: (next: Location) => boolean;
}

const HeldContext = createContext<Set<Held>>(new Set());

/** Asks before what stands within it loses something. A router has one such question at a time. */
export function UnsavedGuard({ children }: { children: ReactNode }) {
  const { modal } = App.useApp();
  const words = useWords();
  const [held] = useState(() => new Set<Held>());
  const blocker = useBlocker(({ currentLocation, nextLocation }) => lostBy(held, currentLocation, nextLocation).length > 0);
  useEffect(() => {
    if (blocker.state !== "blocked") return undefined;
    const question = modal.confirm({
      ...asking(words.unsaved, [...held].map((h) => h.what)),
      onOk: () => {
        held.clear(); // given up: nobody is asked twice while the page goes
        blocker.proceed();
      },
      onCancel: () => blocker.reset(),
    });
    return () => question.destroy();
  }, [blocker, held, modal, words]);
  return <HeldContext value={held}>{children}</HeldContext>;
}

function lostBy(held: Set<Held>, here: Location, next: Location): Held[] {
  return [...held].filter((h) => here.pathname !== next.pathname || !h.staysAt(next));
}

function asking(words: ReturnType<typeof useWords>["unsaved"], what: string[]) {
  return {
    title: words.title, content: <>{words.text}<ul>{what.map((w) => <li key={w} className="break">{w}</li>)}</ul></>,
    okText: words.leave, okButtonProps: { danger: true }, cancelText: words.stay, width: 480,
  };
}

const always = () => true;

/**
 * Holds something that is not saved, in words for the user; undefined: nothing. Where
 * addresses of the same page show other things, staysAt says where it is still there;
 * it is the same function each time.
 */
export function useUnsaved(what: string | undefined, staysAt: (next: Location) => boolean = always): void {
  const held = useContext(HeldContext);
  useEffect(() => {
    if (what === undefined) return undefined;
    const entry = { what, staysAt };
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    held.add(entry);
    addEventListener("beforeunload", ask);
    return () => {
      held.delete(entry);
      removeEventListener("beforeunload", ask);
    };
  }, [held, what, staysAt]);
}

/** Asks before all pages go, as at a logout. Who agrees is not asked again on the way. */
export function useMayLeave(): () => Promise<boolean> {
  const { modal } = App.useApp();
  const words = useWords();
  const held = useContext(HeldContext);
  return async () => {
    if (held.size === 0) return true;
    const agreed = await modal.confirm(asking(words.unsaved, [...held].map((h) => h.what)));
    if (agreed) held.clear();
    return agreed;
  };
}
