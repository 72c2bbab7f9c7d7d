import { type ChildProcess, spawn } from "node:child_process";

const LIMIT_MS = 60_000;

/** Runs a program to its end, and answers with what it printed. Fails if it does. */
export function output(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "inherit"], timeout: LIMIT_MS });
    let printed = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => (printed += text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(printed);
      else reject(new Error(`${command} ${args.join(" ")}: ${code ?? signal}\n${printed}`));
    });
  });
}
