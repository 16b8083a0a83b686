/*
 * The guard: runs in Outlook when someone presses Send. Stops a mail to people outside with attachments or a citizen service
 * number in it, and points to the pane.
 *
 * Classic Outlook runs this file without a browser, and builds before 2403 know ES2016 only; Microsoft's documentation excludes
 * async functions and the conditional operator besides. So it is written by hand in simple statements, imports nothing, and is
 * served as it stands, with the organisation's facts filled in. `backend/frontend/test/guard.test.ts` reads it for what is not allowed.
 *
 * It decides by what is in the mail alone. It asks no server and needs no token: signing in from this event fails in classic
 * Outlook (office-js #5113, #6610), and a guard that waits for a network is a guard that lets go. Whatever it cannot find out
 * counts as a reason to stop.
 */
var facts = "__ZEGELPOST_FACTS__";

// What is marked by the pane on a draft whose content went through the secure channel.
var SENT_HEADER = "x-zegelpost-transfer";
// Besides that mark: the draft was emptied, and is a copy that its sender sends to themselves.
var COPY_HEADER = "x-zegelpost-copy";
// Outlook shows "still working" after five seconds; callbacks that have not come by now do not come (office-js #6769).
var PATIENCE_MS = 900;
// Characters of the text that are looked at. A number further on is found by nobody who reads it either.
var LONGEST_TEXT = 200000;

var SENTENCES = {
  nl: {
    attachment: "Deze e-mail heeft een bijlage en gaat naar iemand buiten de organisatie. Klik op Verstuur veilig in het lint, dan gaat hij veilig.",
    bsn: "In deze e-mail staat een burgerservicenummer, en hij gaat naar iemand buiten de organisatie. Klik op Verstuur veilig in het lint.",
    sent: "Deze e-mail is al veilig verstuurd met Zegelpost. U kunt dit concept weggooien.",
    doubt: "Zegelpost kon deze e-mail niet controleren. Probeer het nog een keer, of klik op Verstuur veilig in het lint.",
    label: "Verstuur veilig"
  },
  en: {
    attachment: "This e-mail has an attachment and goes to someone outside the organisation. Press Send securely in the ribbon, and it goes safely.",
    bsn: "This e-mail has a citizen service number in it, and goes to someone outside the organisation. Press Send securely in the ribbon.",
    sent: "This e-mail has been sent securely with Zegelpost already. You can throw this draft away.",
    doubt: "Zegelpost could not check this e-mail. Try once more, or press Send securely in the ribbon.",
    label: "Send securely"
  }
};

/** Whether nine digits pass the eleven-test of the citizen service number (Wet algemene bepalingen burgerservicenummer). */
function passesElevenTest(digits) {
  var sum = 0;
  var index;
  if (digits === "000000000") {
    return false;
  }
  for (index = 0; index < 8; index += 1) {
    sum += Number(digits.charAt(index)) * (9 - index);
  }
  return (sum - Number(digits.charAt(8))) % 11 === 0;
}

/** Whether a text holds a citizen service number, as people write it: in one piece, or with dots, spaces or hyphens. */
function holdsServiceNumber(text) {
  var pattern = /[0-9](?:[.\u00a0 -]?[0-9])*/g;
  var found = pattern.exec(text);
  var digits;
  while (found !== null) {
    digits = found[0].replace(/[^0-9]/g, "");
    if (digits.length === 8) {
      digits = "0" + digits;
    }
    if (digits.length === 9 && passesElevenTest(digits)) {
      return true;
    }
    found = pattern.exec(text);
  }
  return false;
}

/** Whether an address is outside, or may be: a list can hide anyone, and an address that cannot be read is no colleague's. */
function isOutside(recipient) {
  var address = String(recipient.emailAddress || "").toLowerCase();
  var domain = address.slice(address.lastIndexOf("@") + 1);
  if (recipient.recipientType === "distributionList") {
    return true;
  }
  return address.indexOf("@") < 1 || facts.staff_domains.indexOf(domain) === -1;
}

function isReal(attachment) {
  return !attachment.isInline;
}

/** What to do with a mail: `ok`, or the name of the sentence that says why not. */
function verdictOn(mail) {
  if (mail.header) {
    if (mail.copy && !mail.recipients.some(isOutside) && !mail.attachments.some(isReal)) {
      return "ok";
    }
    return "sent";
  }
  if (!mail.recipients.some(isOutside)) {
    return "ok";
  }
  if (mail.attachments.some(isReal)) {
    return "attachment";
  }
  if (holdsServiceNumber(mail.subject) || holdsServiceNumber(mail.text)) {
    return "bsn";
  }
  return "ok";
}

/** Reads one thing after another, because three calls at once is all that some clients take. `done(mail)`, or `done(null)`. */
function readMail(item, done) {
  var mail = { recipients: [], attachments: [], subject: "", text: "", header: "", copy: "" };
  var steps = [
    function (next) { item.to.getAsync(next(function (value) { mail.recipients = mail.recipients.concat(value); })); },
    function (next) { item.cc.getAsync(next(function (value) { mail.recipients = mail.recipients.concat(value); })); },
    function (next) { item.bcc.getAsync(next(function (value) { mail.recipients = mail.recipients.concat(value); })); },
    function (next) { item.getAttachmentsAsync(next(function (value) { mail.attachments = value; })); },
    function (next) { item.subject.getAsync(next(function (value) { mail.subject = String(value); })); },
    function (next) {
      item.body.getAsync("text", next(function (value) { mail.text = String(value).slice(0, LONGEST_TEXT); }));
    },
    function (next) {
      item.internetHeaders.getAsync([SENT_HEADER, COPY_HEADER], next(function (value) {
        mail.header = value[SENT_HEADER] || "";
        mail.copy = value[COPY_HEADER] || "";
      }));
    }
  ];

  function run(index) {
    if (index === steps.length) {
      done(mail);
      return;
    }
    try {
      steps[index](function (keep) {
        return function (result) {
          if (result.status !== Office.AsyncResultStatus.Succeeded) {
            done(null);
            return;
          }
          try {
            keep(result.value);
          } catch (error) {
            done(null);
            return;
          }
          run(index + 1);
        };
      });
    } catch (error) {
      // A call that this client does not have: what it would have told is not known.
      done(null);
    }
  }

  run(0);
}

function sentences() {
  var language = "nl";
  try {
    language = String(Office.context.displayLanguage || "nl");
  } catch (error) {
    language = "nl";
  }
  if (language.toLowerCase().indexOf("nl") === 0) {
    return SENTENCES.nl;
  }
  return SENTENCES.en;
}

function answer(event, verdict) {
  var words = sentences();
  var options;
  if (verdict === "ok") {
    event.completed({ allowEvent: true });
    return;
  }
  options = { allowEvent: false, errorMessage: words[verdict] };
  if (verdict !== "sent") {
    // Newer clients make a button of these; older ones leave them out, which is why the sentence names the button.
    options.commandId = facts.command_id;
    options.cancelLabel = words.label;
  }
  // Doubt and double sending stop whatever the policy says; the rest may be a question only.
  if (facts.guard_mode === "prompt_user" && (verdict === "attachment" || verdict === "bsn")) {
    options.sendModeOverride = "promptUser";
  }
  event.completed(options);
}

function onMessageSendHandler(event) {
  var isAnswered = false;
  var timer = null;

  function once(verdict) {
    if (isAnswered) {
      return;
    }
    isAnswered = true;
    if (timer !== null) {
      clearTimeout(timer);
    }
    answer(event, verdict);
  }

  timer = setTimeout(function () { once("doubt"); }, PATIENCE_MS);
  try {
    readMail(Office.context.mailbox.item, function (mail) {
      if (mail === null) {
        once("doubt");
        return;
      }
      once(verdictOn(mail));
    });
  } catch (error) {
    once("doubt");
  }
}

// At the top level: classic Outlook never calls onReady, and without this SoftBlock holds every mail.
Office.actions.associate("onMessageSendHandler", onMessageSendHandler);
