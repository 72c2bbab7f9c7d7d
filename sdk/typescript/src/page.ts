/** What a window tells about itself. */
export interface Page {
  /** Whether the browser believes that there is a network. It may be wrong when it says yes. */
  isOnline(): boolean;
  /** Calls the listener when one of these happens, until the function that it returns is called. */
  observe(listener: (event: PageEvent) => void): () => void;
}

/** The network came or went; the page is seen again, perhaps after the device slept. */
export type PageEvent = "online" | "offline" | "visible";

/** The window that this runs in; outside of browsers one that says nothing. */
export function thisPage(): Page {
  if (typeof window === "undefined" || typeof document === "undefined") {
    return { isOnline: () => true, observe: () => () => {} };
  }
  return {
    isOnline: () => navigator.onLine,
    observe(listener) {
      const online = () => listener("online");
      const offline = () => listener("offline");
      const visible = () => document.visibilityState === "visible" && listener("visible");
      window.addEventListener("online", online);
      window.addEventListener("offline", offline);
      document.addEventListener("visibilitychange", visible);
      return () => {
        window.removeEventListener("online", online);
        window.removeEventListener("offline", offline);
        document.removeEventListener("visibilitychange", visible);
      };
    },
  };
}
