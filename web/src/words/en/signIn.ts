export const signIn = {
  title: "Log in to Lighterage",
  user: "Username",
  password: "Password",
  userRequired: "Username is required.",
  passwordRequired: "Password is required.",
  submit: "LOG IN",
  wrong: "Invalid user name or password.",
  slow: "There were too many wrong logins. Wait a minute, then try again.",
  ended: "Your session has ended",
  endedText: "Log in again to go on where you are: nothing on this page is lost.",
  hint: "The first start of the server has printed the password of admin.",
};
