// The page to sign in at: nobody is signed in, so what was kept for somebody goes.
import { forget } from "./leave.js";

forget().catch(() => {});
